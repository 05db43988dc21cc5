//! Squared W2 of samples in the plane, counted on the nodes of a window: with its standard error, beside
//! what samples of one law have, and compared by tests with a level.

use std::cell::LazyCell;

use anyhow::{Context as _, Result};
use metrics::{
    Change, Difference, Estimate, Histogram2d, HistogramBuilder, Metric, NoiseFloor, Options,
    Sample,
};
use ndarray::ArrayView2;
use report::{Axis, Cell, Line};
use sde_core::Key;
use serde::{Deserialize, Serialize};

use crate::checks;

/// Colours of distances: ODE to truth, SDE to truth, ODE to SDE.
pub(crate) const ODE: &str = "#c2410c";
pub(crate) const SDE: &str = "#0d9488";
pub(crate) const PAIR: &str = "#4338ca";
/// Colours below the floor of a sample against the truth, and of two samples.
pub(crate) const FLOOR: &str = "#e5e7eb";
pub(crate) const PAIR_FLOOR: &str = "#eef0ff";

/// Level of the tests in a report, shared by the comparisons that a sentence sums up.
pub(crate) const LEVEL: f64 = 0.01;

/// The largest share outside the window with which a distance still means something.
pub(crate) const LARGEST_OUTSIDE: f64 = 0.05;

/// Where and how finely samples are counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Window {
    /// Half the width of the square window.
    pub(crate) half_width: f64,
    /// Nodes along each axis.
    pub(crate) nodes: usize,
}

impl Window {
    /// Checks the values.
    pub(crate) fn check(&self) -> Result<()> {
        checks::within("window.half-width", self.half_width, 1e-6..=1e6)?;
        checks::at_least("window.nodes", self.nodes, 2)?;
        // Histograms, and the transport between two of them on several threads.
        let nodes = ("window.nodes", self.nodes);
        checks::memory(&[nodes, nodes], 1000)?;
        Ok(())
    }

    /// In words.
    pub(crate) fn about(&self) -> String {
        format!("{0} \u{d7} {0} nodes of \u{b1}{1}", self.nodes, self.half_width)
    }

    /// A sample counted; nothing where more of it than [`LARGEST_OUTSIDE`] lies outside, or where it
    /// has left the numbers.
    fn count(&self, x: ArrayView2<'_, f64>) -> Result<Option<HistogramBuilder>> {
        if x.iter().any(|v| !v.is_finite()) {
            return Ok(None);
        }
        let mut counted = HistogramBuilder::new(self.half_width, self.nodes)?;
        counted.add(x)?;
        let outside = 1.0 - counted.n_kept() as f64 / counted.n_seen().max(1) as f64;
        Ok((outside <= LARGEST_OUTSIDE).then_some(counted))
    }
}

/// How many rows a sampler has, the truth, and how often the floor is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) n: usize,
    pub(crate) truth: usize,
    pub(crate) floors: usize,
}

impl Sizes {
    /// Checks that a sample and the truth beside it can be drawn from the truth; keys have a prefix,
    /// empty or as in `noise.`.
    pub(crate) fn check(&self, prefix: &str) -> Result<()> {
        let key = |name: &str| format!("{prefix}{name}");
        let (n, floors, truth) = (key("n"), key("floors"), key("truth"));
        checks::at_least(&n, self.n, 2)?;
        checks::at_least(&floors, self.floors, 1)?;
        checks::memory(&[(&truth, self.truth)], 64)?;
        let needed = checks::memory(&[(&n, self.n), ("two samples", 2)], 48)?;
        anyhow::ensure!(self.truth > needed, "{truth} = {}: must be above {needed}", self.truth);
        checks::time(&[(&floors, self.floors), (&truth, self.truth)])?;
        Ok(())
    }
}

/// A sample of the truth, and what a perfect sampler would be away from it.
pub(crate) struct Truth {
    window: Window,
    /// Nothing where the truth itself is not in the window: then no distance to it is measured.
    counted: Option<Histogram2d>,
    /// Squared W2 of a sample of the truth as large as a sampler's; without values where there is none.
    pub(crate) floor: NoiseFloor,
}

impl Truth {
    /// From a sample of the truth, for samplers with `n` rows.
    pub(crate) fn new(
        window: Window,
        truth: ArrayView2<'_, f64>,
        n: usize,
        (draws, key): (usize, Key),
    ) -> Result<Self> {
        let rest =
            truth.nrows().checked_sub(n).context("a larger sample of the truth is needed")?;
        let counted = window.count(truth)?.map(|c| c.finish()).transpose()?;
        let floor = match &counted {
            Some(truth) => floor(truth.clone(), [n, rest], (draws, key))?,
            None => NoiseFloor::default(),
        };
        Ok(Self { window, counted, floor })
    }

    /// Squared W2 to it; nothing where the sample has left the window or the numbers.
    pub(crate) fn distance(&self, x: ArrayView2<'_, f64>) -> Result<Option<Estimate>> {
        let Some((truth, x)) = self.counted.as_ref().zip(self.window.count(x)?) else {
            return Ok(None);
        };
        Ok(Some(x.finish()?.squared_w2(truth)?))
    }
}

/// A truth that is drawn when it is first asked for: of a run that goes on much may be known.
pub(crate) struct Later<'a>(LazyCell<Result<Truth>, Draw<'a>>);

type Draw<'a> = Box<dyn FnOnce() -> Result<Truth> + 'a>;

impl<'a> Later<'a> {
    pub(crate) fn new(draw: impl FnOnce() -> Result<Truth> + 'a) -> Self {
        Self(LazyCell::new(Box::new(draw)))
    }

    pub(crate) fn get(&self) -> Result<&Truth> {
        (*self.0).as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))
    }
}

/// Squared W2 with a floor of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Distance {
    pub(crate) found: Estimate,
    pub(crate) floor: NoiseFloor,
}

/// Squared W2 of two samples; its floor is that of the two thrown together and split at random.
pub(crate) fn between(
    window: Window,
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    draws: (usize, Key),
) -> Result<Option<Distance>> {
    let Some((x, y)) = window.count(x)?.zip(window.count(y)?) else { return Ok(None) };
    let size = [x.n_seen() as usize, y.n_seen() as usize];
    let mut pool = x.clone();
    pool.merge(&y)?;
    let found = x.finish()?.squared_w2(&y.finish()?)?;
    Ok(Some(Distance { found, floor: floor(pool.finish()?, size, draws)? }))
}

/// The floor of squared W2 from random splits of a pool.
pub(crate) fn floor(
    pool: Histogram2d,
    size: [usize; 2],
    (draws, key): (usize, Key),
) -> Result<NoiseFloor> {
    let (pool, options) = (Sample::Histogram(pool), Options::default());
    Ok(Metric::W2.noise_floor_of(&pool, size, &options, key, draws)?.squared())
}

/// Whether a distance is larger than every draw of its floor.
pub(crate) fn above(found: Estimate, floor: &NoiseFloor) -> bool {
    !floor.values.is_empty() && floor.values.iter().all(|v| found.value > *v)
}

/// Why there is neither a floor nor a distance, in words; nothing where there is one.
pub(crate) fn unmeasured(floor: &NoiseFloor) -> Option<String> {
    floor.values.is_empty().then(|| {
        format!(
            "No distance to the truth is measured: more than {} % of it lies outside the window.",
            100.0 * LARGEST_OUTSIDE
        )
    })
}

/// What [`above`] means, in words.
pub(crate) fn above_note(floor: &NoiseFloor) -> String {
    if let Some(reason) = unmeasured(floor) {
        return reason;
    }
    let draws = floor.values.len();
    format!(
        "The floor is the mean of {draws} draws. A distance is called above its floor where it is larger than each of them, which chance alone gives once in {}.",
        draws + 1
    )
}

/// How a value changed, by the test that [`change_note`] states, where a sentence sums up so many
/// comparisons.
pub(crate) fn change(from: Estimate, to: Estimate, comparisons: usize) -> Change {
    Difference::dependent(from, to).at(LEVEL / comparisons.max(1) as f64)
}

/// As [`change`], where the standard errors are from so many values each: a t-test.
pub(crate) fn change_of_few(from: Estimate, to: Estimate, values: usize, all: usize) -> Change {
    let degrees = values.saturating_sub(1) as f64;
    Difference::dependent(from, to).with_freedom(degrees).at(LEVEL / all.max(1) as f64)
}

/// As [`change`], of values that come in pairs with the same random numbers: a t-test on their differences.
pub(crate) fn change_of_pairs(from: &[f64], to: &[f64], all: usize) -> Change {
    let differences: Vec<f64> = from.iter().zip(to).map(|(a, b)| b - a).collect();
    let none = Estimate { value: 0.0, standard_error: 0.0 };
    let degrees = differences.len().saturating_sub(1) as f64;
    let found = Difference::independent(none, Estimate::of_mean(&differences));
    found.with_freedom(degrees).at(LEVEL / all.max(1) as f64)
}

/// What [`change`] means, in words.
pub(crate) fn change_note(comparisons: usize) -> String {
    let shared = match comparisons {
        0 | 1 => String::new(),
        k => format!(", shared by {k} comparisons (Bonferroni)"),
    };
    format!(
        "Two values a \u{b1} s and b \u{b1} r are said to differ where |a \u{2212} b| / (s + r) is beyond the two-sided normal quantile at a level of {} %{shared}. The standard errors are added because the two may share samples: no correlation makes the error of the difference larger.",
        100.0 * LEVEL
    )
}

/// A value with its standard error in a table, a dash where there is none.
pub(crate) fn cell(found: impl Into<Option<Estimate>>) -> Cell {
    let with_error = |e: Estimate| Cell::with_error(e.value, Some(e.standard_error));
    found.into().map_or(report::DASH.into(), with_error)
}

/// What the test says of several changes: each verb with the items of which it holds.
pub(crate) fn by_change(verbs: [(Change, &str); 3], items: &[(Change, String)]) -> Vec<String> {
    let part = |(wanted, verb): (Change, &str)| {
        let of_it = items.iter().filter(|(change, _)| *change == wanted);
        let named: Vec<&str> = of_it.map(|(_, item)| item.as_str()).collect();
        (!named.is_empty()).then(|| format!("{verb} {}", report::list(&named)))
    };
    verbs.into_iter().filter_map(part).collect()
}

/// A logarithmic axis for distances and the floors below them.
pub(crate) fn axis<'a>(
    found: impl IntoIterator<Item = Option<Estimate>>,
    floors: impl IntoIterator<Item = &'a NoiseFloor>,
    name: &str,
) -> Axis {
    let values = found.into_iter().flatten().map(|e| e.value);
    Axis::log_around(values.chain(floors.into_iter().filter_map(floor_line)), name)
}

/// A floor in a table.
pub(crate) fn floor_cell(floor: &NoiseFloor) -> Cell {
    Cell::number((!floor.values.is_empty()).then(|| floor.mean()))
}

/// The mean of a floor that can be drawn.
pub(crate) fn floor_line(floor: &NoiseFloor) -> Option<f64> {
    (!floor.values.is_empty()).then(|| floor.mean()).filter(|mean| *mean > 0.0)
}

/// A value with its standard error in a sentence.
pub(crate) fn said(found: Estimate) -> String {
    match report::with_error(found.value, found.standard_error) {
        (value, error) if error.is_empty() => value,
        (value, error) => format!("{value} \u{b1} {error}"),
    }
}

/// Distances as a line with bars of one standard error; what could not be measured is left out.
pub(crate) fn line(
    name: &str,
    colour: &str,
    found: impl IntoIterator<Item = (f64, Option<Estimate>)>,
) -> Line {
    let found: Vec<(f64, Estimate)> =
        found.into_iter().filter_map(|(x, e)| Some((x, e.filter(|e| e.value > 0.0)?))).collect();
    let points = found.iter().map(|(x, e)| (*x, e.value)).collect();
    let errors = found.iter().map(|(_, e)| e.standard_error).collect();
    Line { errors, ..Line::new(name, colour, points) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    const DRAWS: (usize, Key) = (3, Key::root(1));

    /// One of twenty-one rows outside still counts, two do not; a row that is no number is outside.
    #[test]
    fn a_sample_outside_has_no_distance() {
        let window = Window { half_width: 1.0, nodes: 5 };
        let mut x = Array2::<f64>::zeros((21, 2));
        let origin = Array2::<f64>::zeros((21, 2));
        let far = |x: &Array2<f64>, y: &Array2<f64>| {
            let found = between(window, x.view(), y.view(), DRAWS).expect("a distance");
            found.map(|d| d.found.value)
        };
        assert_eq!(far(&x, &origin), Some(0.0));
        x.row_mut(0).assign(&array![9.0, 0.0]);
        assert_eq!(far(&x, &origin), Some(0.0));
        x.row_mut(1).assign(&array![0.0, -9.0]);
        assert_eq!((far(&x, &origin), far(&origin, &x)), (None, None));
        x.row_mut(1).fill(f64::NAN);
        assert_eq!(far(&x, &origin), None);
        // Nor has a truth outside: neither a floor nor a distance to it.
        let away = Array2::from_elem((60, 2), 20.0);
        let truth = Truth::new(window, away.view(), 20, DRAWS).expect("a truth");
        assert_eq!(truth.distance(origin.view()).expect("a distance"), None);
        assert!(truth.floor.values.is_empty() && floor_line(&truth.floor).is_none());
        assert!(Truth::new(window, away.view(), 61, DRAWS).is_err());
    }

    #[test]
    fn sizes_are_multiplied_without_wrapping() {
        let sizes = |n, truth, floors| Sizes { n, truth, floors }.check("noise.");
        assert!(sizes(100, 201, 2).is_ok());
        for (n, truth, floors) in
            [(100, 200, 2), (1 << 62, 9, 2), (9, 1 << 62, 2), (9, 99, usize::MAX)]
        {
            let line = sizes(n, truth, floors).expect_err("refused").to_string();
            assert!(line.contains("noise.") && line.len() < 120, "{line}");
        }
    }

    #[test]
    fn a_distance_is_above_its_floor_or_it_is_not() {
        let floor = NoiseFloor { size: [5, 5], values: vec![1.0, 3.0, 2.0] };
        let at = |value| Estimate { value, standard_error: 0.1 };
        assert!(above(at(3.1), &floor) && !above(at(3.0), &floor));
        assert!(!above(at(3.1), &NoiseFloor::default()), "nothing to judge by");
        assert!(above_note(&floor).contains("once in 4"));
        let none = above_note(&NoiseFloor::default());
        assert!(none.contains("more than 5 %") && !none.contains("once"), "{none}");
        assert_eq!(unmeasured(&floor), None);
        assert!(change_note(4).contains("1 %") && change_note(4).contains("4 comparisons"));
        assert_eq!(change(at(3.0), at(2.0), 4), Change::Falls);
        assert_eq!(change(at(2.1), at(2.0), 1), Change::Holds);
        // What the pairs share is no difference.
        let (from, to) = ([1.0, 5.0, 9.0, 2.0], [1.5, 5.6, 9.5, 2.4]);
        assert_eq!(change_of_pairs(&from, &to, 1), Change::Rises);
        assert_eq!(change_of_pairs(&to, &from, 1), Change::Falls);
        assert_eq!(change_of_pairs(&from, &[1.5, 4.4, 9.5, 1.6], 1), Change::Holds);
        assert_eq!(change_of_pairs(&from, &to, 1000), Change::Holds);
        assert_eq!(change_of_pairs(&from, &from, 1), Change::Holds);
    }
}
