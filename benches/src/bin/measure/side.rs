//! Items, the sides that do them, and the rounds in which they take turns.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::quiet::{Outcome, Quiet};

/// A piece of work that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Item {
    /// A product of two large matrices: what the machine can do.
    Sgemm,
    /// Loss and gradients of denoising score matching.
    Dsm,
    /// The same with the mean square of the residual added.
    DsmFp,
    /// Drawing samples.
    Sample,
}

impl Item {
    /// All of them.
    pub(crate) const ALL: &[Self] = &[Self::Sgemm, Self::Dsm, Self::DsmFp, Self::Sample];

    /// The name that requests and keys know it by.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sgemm => "sgemm",
            Self::Dsm => "dsm",
            Self::DsmFp => "dsm_fp",
            Self::Sample => "sample",
        }
    }
}

/// What a side can be asked for: an item of one of the comparisons.
pub(crate) trait Named: Copy + Ord {
    /// The name that requests and keys know it by.
    fn name(&self) -> &str;
}

impl Named for Item {
    fn name(&self) -> &str {
        (*self).name()
    }
}

/// Somebody who does the work.
pub(crate) trait Side<I = Item> {
    /// What it is called.
    fn name(&self) -> &str;

    /// Does an item and says how many seconds it took, by the rule of [`settled`](crate::timing::settled)
    /// on every side.
    fn time(&mut self, item: I) -> Result<f64>;
}

/// What a side took for each item, round by round, in seconds.
pub(crate) type Times<I = Item> = BTreeMap<I, Vec<f64>>;

/// What came of all rounds.
#[derive(Debug)]
pub(crate) struct Measured<I = Item> {
    /// Side by side.
    pub(crate) times: Vec<Times<I>>,
    /// What was disturbed, where somebody watched.
    pub(crate) quiet: Option<Outcome>,
}

/// One round that does not count, then `rounds` that do: in each, every item is done once by every
/// side that has it, one side after the other, so that what disturbs the machine disturbs all alike;
/// `quiet` takes again what was disturbed.
pub(crate) fn rounds<I: Named>(
    all: &[I],
    sides: &mut [(&mut dyn Side<I>, &[I])],
    rounds: u16,
    mut quiet: Option<Quiet>,
) -> Result<Measured<I>> {
    let mut times = vec![Times::new(); sides.len()];
    let a_round = sides.iter().map(|(_, items)| items.len() as u32).sum::<u32>();
    let measurements = a_round * u32::from(rounds);
    for round in 0..=rounds {
        match round {
            0 => eprintln!("warm-up"),
            round => eprintln!("round {round} of {rounds}"),
        }
        for &item in all {
            let mut line = Vec::new();
            for ((side, items), times) in sides.iter_mut().zip(&mut times) {
                if !items.contains(&item) {
                    continue;
                }
                let name = side.name().to_owned();
                let mut time =
                    || side.time(item).with_context(|| format!("{name}: {}", item.name()));
                let seconds = match &mut quiet {
                    Some(quiet) if round > 0 => quiet.measure(measurements, time)?,
                    Some(quiet) => {
                        quiet.probe()?;
                        time()?
                    }
                    None => time()?,
                };
                if round > 0 {
                    times.entry(item).or_default().push(seconds);
                }
                line.push(format!("{name} {seconds:.4}"));
            }
            // A run is long: what it found stays, whatever ends it.
            if !line.is_empty() {
                eprintln!("  {}, s: {}", item.name(), line.join("; "));
            }
        }
    }
    Ok(Measured { times, quiet: quiet.as_ref().map(Quiet::outcome) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes as many seconds as it was asked before.
    struct Counting(f64);

    impl Side for Counting {
        fn name(&self) -> &str {
            "counting"
        }

        fn time(&mut self, _: Item) -> Result<f64> {
            self.0 += 1.0;
            Ok(self.0)
        }
    }

    #[test]
    fn the_first_round_does_not_count() {
        let (mut a, mut b) = (Counting(0.0), Counting(0.0));
        let mut sides: [(&mut dyn Side, &[Item]); 2] =
            [(&mut a, &[Item::Dsm, Item::Sgemm]), (&mut b, &[Item::Dsm])];
        let found = rounds(Item::ALL, &mut sides, 2, None);
        let found = found.expect("it cannot fail").times;
        assert_eq!(found[0][&Item::Sgemm], [3.0, 5.0]);
        assert_eq!(found[0][&Item::Dsm], [4.0, 6.0]);
        assert_eq!(found[1][&Item::Dsm], [2.0, 3.0]);
        assert_eq!(found[1].get(&Item::Sgemm), None);
    }
}
