//! What the numbers say: means over the seeds, and differences of pairs of networks, each with its interval.

use metrics::{Difference, Estimate};
use report::{digits, list};

use super::measure::Space;
use super::{Cell, Config, Results};
use crate::fit::Pair;

/// The level of the intervals.
pub(super) const LEVEL: f64 = 0.05;

/// A mean of few values with its t-interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub(super) mean: f64,
    pub(super) half: f64,
}

impl Interval {
    /// The mean of independent values, `mean +- t s / sqrt(n)`.
    pub(super) fn of(values: &[f64]) -> Self {
        let found = Estimate::of_mean(values);
        let degrees = values.len().saturating_sub(1) as f64;
        Self { mean: found.value, half: quantile(degrees) * found.standard_error }
    }

    pub(super) fn low(self) -> f64 {
        self.mean - self.half
    }

    pub(super) fn high(self) -> f64 {
        self.mean + self.half
    }

    /// As `mean [low, high]`.
    pub(super) fn said(self) -> String {
        format!("{} [{}, {}]", digits(self.mean), digits(self.low()), digits(self.high()))
    }

    fn verb(self) -> &'static str {
        match (self.high() < 0.0, self.low() > 0.0) {
            (true, _) => "lower",
            (_, true) => "higher",
            _ => "not told apart",
        }
    }
}

/// The two-sided quantile of Student's t at [`LEVEL`], by bisection of its p-value.
fn quantile(degrees: f64) -> f64 {
    let p_value = |t: f64| {
        let at = Estimate { value: t, standard_error: 1.0 };
        Difference::independent(Estimate::default(), at).with_freedom(degrees).p_value
    };
    let (mut low, mut high) = (0.0, 1e3);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if p_value(middle) > LEVEL { low = middle } else { high = middle }
    }
    high
}

/// The value of a network.
pub(super) type Of = Box<dyn Fn(&Cell) -> Option<f64>>;

/// Something that is held against the weight 0.
pub(super) struct Quantity {
    pub(super) name: String,
    pub(super) of: Of,
}

/// A distance of samples.
pub(super) fn distance(space: Space, metric: &'static str, pair: Pair) -> Of {
    Box::new(move |cell| {
        let found = cell
            .distances
            .iter()
            .find(|d| d.space == space && d.distance.metric == metric && d.distance.pair == pair)?;
        Some(found.distance.found.value)
    })
}

/// A distance of samples less the mean of its floor, two samples of one law.
pub(super) fn above_floor(space: Space, metric: &'static str, pair: Pair) -> Of {
    Box::new(move |cell| {
        let found = cell
            .distances
            .iter()
            .find(|d| d.space == space && d.distance.metric == metric && d.distance.pair == pair)?;
        Some(found.distance.found.value - found.distance.floor.mean())
    })
}

/// The residual over all times: the mean over the times asked for.
pub(super) fn residual(cell: &Cell) -> Option<f64> {
    let n = cell.residual.len();
    (n > 0).then(|| cell.residual.iter().map(|e| e.found.value).sum::<f64>() / n as f64)
}

/// Everything that a table row and a sentence are about.
pub(super) fn quantities(results: &Results) -> Vec<Quantity> {
    let mut all = Vec::new();
    let mut add = |name: &str, of: Of| all.push(Quantity { name: name.into(), of });
    for space in Space::BOTH {
        let name = space.name();
        for (metric, word) in [
            ("w2", "squared W2"),
            ("energy", "energy distance"),
            ("frechet", "Fréchet distance"),
            ("kid", "KID"),
        ] {
            let measured =
                results.copies.iter().any(|d| d.space == space && d.distance.metric == metric);
            if measured {
                for (pair, between) in PAIRS {
                    add(&format!("{word}, {name}, {between}"), distance(space, metric, pair));
                }
            }
        }
    }
    add("bits/dim of the ODE", Box::new(|c| Some(c.densities.bits.value)));
    add("log p of the ODE", Box::new(|c| Some(c.densities.ode.value)));
    add("log p of the SDE", Box::new(|c| Some(c.densities.sde.value)));
    add("lower bound of log p of the SDE", Box::new(|c| Some(c.densities.bound.value)));
    add("log p, SDE less ODE", Box::new(|c| Some(c.densities.above.value)));
    add("mean |log p, SDE less ODE|", Box::new(|c| Some(c.densities.apart.value)));
    add("deviation of a path's log-weight", Box::new(|c| Some(c.densities.spread)));
    add("residual", Box::new(residual));
    add("denoising loss, withheld", Box::new(|c| Some(c.loss)));
    all
}

/// The pairs of every metric.
pub(super) const PAIRS: [(Pair, &str); 3] = [
    (Pair::OdeSde, "ODE to SDE"),
    (Pair::OdeTest, "ODE to withheld"),
    (Pair::SdeTest, "SDE to withheld"),
];

/// The values of a weight by seed; nothing where one is missing.
pub(super) fn values(results: &Results, weight: f64, of: &Of) -> Option<Vec<f64>> {
    let cells = results.cells.iter().filter(|c| c.weight == weight);
    let values: Option<Vec<f64>> = cells.map(of).collect();
    values.filter(|v| !v.is_empty())
}

/// The mean over the seeds, and from the second weight on the difference of pairs to the first.
pub(super) fn over_seeds(
    config: &Config,
    results: &Results,
    weight: f64,
    of: &Of,
) -> Option<(Interval, Option<Interval>)> {
    let own = values(results, weight, of)?;
    let none = values(results, config.weights[0], of)?;
    let differences: Vec<f64> = own.iter().zip(&none).map(|(a, b)| a - b).collect();
    let beside = (weight != config.weights[0]).then(|| Interval::of(&differences));
    Some((Interval::of(&own), beside))
}

/// What each weight does to a quantity.
fn sentence(config: &Config, results: &Results, subject: &str, of: &Of) -> String {
    let none = config.weights[0];
    let Some((start, _)) = over_seeds(config, results, none, of) else {
        return format!("{subject} was not measured.");
    };
    let items: Vec<String> = config.weights[1..]
        .iter()
        .filter_map(|weight| {
            let (_, beside) = over_seeds(config, results, *weight, of)?;
            let beside = beside?;
            let by = format!("difference {}", beside.said());
            Some(format!("{} with the weight {} ({by})", beside.verb(), digits(*weight)))
        })
        .collect();
    format!("{subject} is {} without the residual; it is {}.", start.said(), list(&items))
}

/// Mean number of equal weights that the paths are worth, over all networks.
fn effective(results: &Results) -> f64 {
    let all: Vec<f64> = results.cells.iter().map(|c| c.densities.effective).collect();
    all.iter().sum::<f64>() / all.len().max(1) as f64
}

/// The findings, in sentences that follow the numbers.
pub(super) fn findings(config: &Config, results: &Results) -> Vec<String> {
    let say = |subject: &str, of: Of| sentence(config, results, subject, &of);
    vec![
        say("The residual at withheld images, the mean over the times,", Box::new(residual)),
        say(
            "The gap in pixels, squared W2 of ODE to SDE less its floor,",
            above_floor(Space::Pixels, "w2", Pair::OdeSde),
        ),
        say(
            "The gap in features, squared W2 of ODE to SDE less its floor,",
            above_floor(Space::Features, "w2", Pair::OdeSde),
        ),
        say(
            "The lower bound of the SDE\u{2019}s log-density less the log-density of the ODE at withheld images, in nats,",
            Box::new(|c| Some(c.densities.bound_above.value)),
        ),
        say(
            &format!(
                "By the logarithm of the mean weight of {} paths, {} equal ones in effect, which is too small on average, that difference",
                config.density.paths,
                digits(effective(results))
            ),
            Box::new(|c| Some(c.densities.above.value)),
        ),
        say(
            "The deviation of a path\u{2019}s log-weight, 0 for the score of a process,",
            Box::new(|c| Some(c.densities.spread)),
        ),
        say("Bits a dimension of the ODE", Box::new(|c| Some(c.densities.bits.value))),
        say(
            "The distance of the ODE to withheld images, squared W2 in pixels,",
            distance(Space::Pixels, "w2", Pair::OdeTest),
        ),
        say("That of the SDE", distance(Space::Pixels, "w2", Pair::SdeTest)),
        say("The denoising loss on withheld images", Box::new(|c| Some(c.loss))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles of Student's t: 12.706, 4.303 and 3.182 for one, two and three degrees of freedom.
    #[test]
    fn intervals_have_the_quantiles_of_student() {
        for (degrees, exact) in [(1.0, 12.7062), (2.0, 4.3027), (3.0, 3.1824)] {
            assert!((quantile(degrees) - exact).abs() < 1e-4, "{degrees}: {}", quantile(degrees));
        }
        // 1, 2, 3: mean 2, standard error 1/sqrt(3).
        let found = Interval::of(&[1.0, 2.0, 3.0]);
        assert!((found.half - 4.3027 / 3.0_f64.sqrt()).abs() < 1e-4);
        assert_eq!(found.verb(), "not told apart");
        assert_eq!(Interval::of(&[1.9, 2.0, 2.1]).verb(), "higher");
        assert_eq!(Interval::of(&[-1.9, -2.0, -2.1]).verb(), "lower");
    }
}
