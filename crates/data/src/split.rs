//! Rows for training, for choosing and for testing.

use sde_core::Key;

use crate::{Dataset, Error, Result};

/// How many rows of a split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Portion {
    /// A share of all rows, rounded to the nearest count; at least one where it is above 0.
    Share(f64),
    /// This many.
    Rows(usize),
}

/// The numbers of the rows of three disjoint parts, each in increasing order; together they are all rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// For training; never empty.
    pub training: Vec<usize>,
    /// For choosing between models.
    pub validation: Vec<usize>,
    /// For what is reported.
    pub test: Vec<usize>,
}

impl Portion {
    fn of(self, n: usize, name: &str) -> Result<usize> {
        match self {
            Self::Rows(rows) => Ok(rows),
            Self::Share(share) if (0.0..1.0).contains(&share) => {
                let rows = (share * n as f64).round() as usize;
                Ok(if share > 0.0 { rows.max(1) } else { 0 })
            }
            Self::Share(share) => {
                Err(Error::data(format!("{name} = {share}: expected a share in [0, 1)")))
            }
        }
    }
}

impl Dataset {
    /// Splits the rows at random: a function of the key and the labels alone. With labels, every class is split in the
    /// same proportions, as far as whole rows allow, and keeps a row for training.
    ///
    /// # Errors
    /// When a share is not in [0, 1), or fewer rows than that are there: one for training, one for every class.
    ///
    /// ```
    /// use data::Portion;
    /// use sde_core::Key;
    /// let digits = data::digits();
    /// let split = digits.split(Portion::Share(0.1), Portion::Rows(497), Key::root(0))?;
    /// assert_eq!((split.training.len(), split.validation.len(), split.test.len()), (1120, 180, 497));
    /// # Ok::<(), data::Error>(())
    /// ```
    pub fn split(&self, validation: Portion, test: Portion, key: Key) -> Result<Split> {
        let n = self.len();
        let (validation, test) = (validation.of(n, "validation")?, test.of(n, "test")?);
        let groups = self.groups(key);
        let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
        let free: Vec<usize> = sizes.iter().map(|n| n - 1).collect();
        let room: usize = free.iter().sum();
        if validation.saturating_add(test) > room {
            return Err(Error::data(format!(
                "{n} rows of {} cannot give {validation} for validation and {test} for testing: one of each is for training",
                match self.n_classes() {
                    0 => "one kind".to_owned(),
                    _ => format!("{} classes", groups.len()),
                }
            )));
        }
        let for_test = allot(test, &sizes, &free);
        let free: Vec<usize> = free.iter().zip(&for_test).map(|(free, t)| free - t).collect();
        let for_validation = allot(validation, &sizes, &free);
        let mut split = Split { training: vec![], validation: vec![], test: vec![] };
        for ((rows, t), v) in groups.iter().zip(for_test).zip(for_validation) {
            split.test.extend(&rows[..t]);
            split.validation.extend(&rows[t..t + v]);
            split.training.extend(&rows[t + v..]);
        }
        for part in [&mut split.training, &mut split.validation, &mut split.test] {
            part.sort_unstable();
        }
        Ok(split)
    }

    /// The rows of every class that has some, or all of them, each in an order drawn at random.
    fn groups(&self, key: Key) -> Vec<Vec<usize>> {
        let mut drawn = vec![0.0; self.len()];
        key.fill_uniforms(0, &mut drawn);
        let mut groups = vec![Vec::new(); self.n_classes().max(1)];
        for row in 0..self.len() {
            groups[self.labels().map_or(0, |labels| labels.of[row] as usize)].push(row);
        }
        groups.retain(|rows| !rows.is_empty());
        for rows in &mut groups {
            rows.sort_by(|a, b| drawn[*a].total_cmp(&drawn[*b]).then(a.cmp(b)));
        }
        groups
    }
}

/// `total` in proportion to `sizes`, none above its `most`: the largest remainders get what rounding leaves.
fn allot(total: usize, sizes: &[usize], most: &[usize]) -> Vec<usize> {
    let all: usize = sizes.iter().sum();
    let exact = |size: &usize| total as u128 * *size as u128;
    let all = (all as u128).max(1);
    let floor = |(size, most): (&usize, &usize)| ((exact(size) / all) as usize).min(*most);
    let mut counts: Vec<usize> = sizes.iter().zip(most).map(floor).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(exact(&sizes[*i]) % all), *i));
    let mut missing = total - counts.iter().sum::<usize>();
    while missing > 0 {
        for i in &order {
            if missing > 0 && counts[*i] < most[*i] {
                counts[*i] += 1;
                missing -= 1;
            }
        }
    }
    counts
}
