//! Products of counts, checked before anything is allocated or looped over.

mod machine;

/// Counts that no run here can end with: more memory than the process can have, or more work than a
/// machine does in years.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{names} = {values} {excess}")]
pub struct Excess {
    names: String,
    values: String,
    excess: String,
}

/// The most evaluations a run may ask for: decades on one core at a microsecond each, a thousand
/// times what the largest published setting takes.
pub const MOST_WORK: f64 = 1e15;

/// Requests below this are not held against the machine: it has been able to start the process.
const SMALL: f64 = (1_u64 << 26) as f64;

impl Excess {
    fn new(counts: &[(&str, u64)], excess: String) -> Self {
        let join = |words: Vec<String>| words.join(" x ");
        Self {
            names: join(counts.iter().map(|(name, _)| (*name).to_owned()).collect()),
            values: join(counts.iter().map(|(_, n)| shown(*n)).collect()),
            excess,
        }
    }
}

/// The product of named counts, if as many items of `bytes` bytes each fit into the memory that this
/// process can have: what is free on the machine, within the limits of its control group and on its
/// address space.
///
/// `bytes` are those of all that is held for an item at a time, copies included.
///
/// # Errors
/// [`Excess`] with the counts and the bytes.
///
/// ```
/// use sde_core::counts::in_memory;
/// assert_eq!(in_memory(&[("rows", 1000), ("columns", 3)], 8), Ok(3000));
/// let refused = in_memory(&[("rows", u64::MAX), ("columns", 2)], 8).unwrap_err().to_string();
/// assert!(refused.starts_with("rows x columns = 1.8e19 x 2 numbers need 3.0e20 bytes, "));
/// ```
pub fn in_memory(counts: &[(&str, u64)], bytes: u64) -> Result<usize, Excess> {
    let needed = product(counts) * bytes.max(1) as f64;
    // Allocations end at isize::MAX on any machine.
    let free = if needed <= SMALL { SMALL } else { machine::free().min(isize::MAX as f64) };
    if needed <= free {
        // Below 2^63, so exact, also where a factor of 0 hides that the others overflow.
        return Ok(counts.iter().fold(1, |product, (_, n)| product.wrapping_mul(*n as usize)));
    }
    let excess = format!("numbers need {needed:.1e} bytes, this process can have {free:.1e}");
    Err(Excess::new(counts, excess))
}

/// The product of named counts, if a run of as many evaluations has an end in sight
/// ([`MOST_WORK`]).
///
/// # Errors
/// [`Excess`] with the counts.
///
/// ```
/// use sde_core::counts::in_time;
/// assert_eq!(in_time(&[("steps", 1000), ("particles", 1_000_000)]), Ok(1e9));
/// let refused = in_time(&[("steps", 1 << 32), ("particles", 1 << 40)]).unwrap_err().to_string();
/// assert!(refused.starts_with("steps x particles = 4.3e9 x 1.1e12 evaluations"));
/// ```
pub fn in_time(counts: &[(&str, u64)]) -> Result<f64, Excess> {
    let work = product(counts);
    if work <= MOST_WORK {
        return Ok(work);
    }
    Err(Excess::new(counts, format!("evaluations have no end in sight: at most {MOST_WORK:e}")))
}

fn product(counts: &[(&str, u64)]) -> f64 {
    counts.iter().map(|(_, n)| *n as f64).product()
}

/// A count in full as long as it is short.
fn shown(n: u64) -> String {
    if n < 1_000_000 { n.to_string() } else { format!("{:.1e}", n as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Over all magnitudes: the exact product, or a refusal of what is too much by any measure.
    #[test]
    fn products_are_exact_or_refused() {
        let sizes = [0, 1, 3, 1000, 1 << 20, 1 << 32, 1 << 53, 1 << 62, u64::MAX];
        for (a, b) in sizes.iter().flat_map(|a| sizes.map(|b| (*a, b))) {
            for (c, bytes) in [(1, 1), (0, 8), (2, 8), (u64::MAX, 400)] {
                let exact = [a, b, c].iter().try_fold(1_u128, |p, n| p.checked_mul(u128::from(*n)));
                let exact = if [a, b, c].contains(&0) { Some(0) } else { exact };
                match in_memory(&[("a", a), ("b", b), ("c", c)], bytes) {
                    Ok(n) => {
                        assert_eq!(Some(n as u128), exact, "{a} {b} {c}");
                        assert!(n as f64 * bytes as f64 <= isize::MAX as f64, "{a} {b} {c}");
                    }
                    Err(refused) => {
                        let needed = exact.and_then(|n| n.checked_mul(bytes.into()));
                        let large = needed.is_none_or(|n| n > SMALL as u128);
                        assert!(large, "{a} {b} {c}: {refused}");
                        assert!(refused.to_string().len() < 120, "{refused}");
                    }
                }
            }
            let work = in_time(&[("a", a), ("b", b)]);
            assert_eq!(work.is_ok(), u128::from(a) * u128::from(b) <= 1_000_000_000_000_000);
        }
    }
}
