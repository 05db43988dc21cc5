//! What `metric` prints: aligned lines, or one JSON object.

use anyhow::Result;
use metrics::{Interval, Measured, Metric, NoiseFloor, Options, Parameter, Resampled, Sample};
use serde_json::{Map, Value, json};

use super::{Args, Uncertainty, featured, flags};
use crate::cli::Output;
use crate::cli::output::{number, short, table};
use crate::features::Described;

/// Everything there is to say.
pub(super) struct Page<'a> {
    pub(super) args: &'a Args,
    pub(super) options: &'a Options,
    pub(super) x: &'a Sample,
    pub(super) y: Option<&'a Sample>,
    /// What made the features, where they are some.
    pub(super) described: Option<&'a Described>,
    pub(super) found: &'a Measured,
    pub(super) seconds: f64,
}

impl Page<'_> {
    pub(super) fn emit(&self, uncertainty: &Uncertainty, output: &Output) -> Result<()> {
        let object = self.object(uncertainty)?;
        output.emit(&object, &table(&self.lines(uncertainty)?))
    }

    /// The sizes of the samples; one where there is one sample.
    fn sizes(&self) -> Vec<usize> {
        [Some(self.x), self.y].into_iter().flatten().map(Sample::size).collect()
    }

    /// What makes a distance of covariances misleading.
    fn notes(&self) -> Vec<String> {
        match (self.x, self.y) {
            (Sample::Cloud(x), Some(y)) if self.args.metric == Metric::Frechet => {
                featured::notes([Some(self.x.size()), Some(y.size())], x.points.ncols())
            }
            _ => Vec::new(),
        }
    }

    fn object(&self, uncertainty: &Uncertainty) -> Result<Map<String, Value>> {
        let (found, args) = (self.found, self.args);
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| object.insert(key.into(), value);
        put("metric", json!(args.metric.name()));
        put("value", exact(found.value));
        put("standard-error", json!(found.standard_error.map(exact)));
        for (name, value) in found.details.named() {
            put(name, exact(value));
        }
        if let Some(of) = found.chosen {
            put("taken-from", json!(of.words()));
        }
        put("parameters", self.parameters());
        put("samples", json!(self.sizes()));
        put("mass", json!(&found.mass[..self.sizes().len()]));
        if let Sample::Histogram(histogram) = self.x {
            put("nodes", json!(histogram.weights().nrows()));
        }
        if let Sample::Cloud(cloud) = self.x {
            put("dimension", json!(cloud.points.ncols()));
        }
        if let Some(described) = self.described {
            put("features", json!(described));
        }
        if args.metric == Metric::Frechet {
            put("notes", json!(self.notes()));
        }
        if let Some(discarded) = found.discarded {
            put("discarded", json!(discarded));
        }
        if let Some((resampled, seconds)) = &uncertainty.resampled {
            put("bootstrap", bootstrap(resampled, args.level(), *seconds)?);
        }
        if let Some((floor, seconds)) = &uncertainty.floor {
            put("floor", noise(floor, *seconds));
        }
        if let (Some(path), Some(plan)) = (&args.plan, &found.plan) {
            put("plan", json!({"file": path.display().to_string(), "moves": plan.moves().len()}));
        }
        put("seconds", json!(self.seconds));
        Ok(object)
    }

    /// The parameters that were used, beyond those among the parts of the result.
    fn parameters(&self) -> Value {
        let value = |parameter: &Parameter| match parameter {
            Parameter::Seed => Some(json!(self.args.seed.unwrap_or(0))),
            other => flags::value(self.options, *other),
        };
        let own = self.args.metric.info().parameters.iter();
        own.filter_map(|p| Some((p.name().to_owned(), value(p)?))).collect()
    }

    /// The lines of interval and floor, where they were asked for.
    fn uncertain(&self, uncertainty: &Uncertainty) -> Result<Vec<(&'static str, String)>> {
        let mut lines = Vec::new();
        if let Some((resampled, _)) = &uncertainty.resampled {
            let level = self.args.level();
            let (low, high) = resampled.interval(Interval::Centred, level)?;
            let (error, count) = (short(resampled.standard_error()), resampled.values.len());
            let (low, high, percent) = (number(low), number(high), number(100.0 * level));
            let by =
                format!("standard error {error} ({count} resamples, {})", resampled.scheme.name());
            lines.push(("interval", format!("[{low}, {high}] at {percent} %; {by}")));
        }
        if let Some((floor, _)) = &uncertainty.floor {
            let ([a, b], count) = (floor.size, floor.values.len());
            let value = with_error(floor.mean(), Some(floor.standard_deviation()));
            lines.push(("floor", format!("{value} ({count} halvings of B, {a} against {b})")));
        }
        Ok(lines)
    }

    fn lines(&self, uncertainty: &Uncertainty) -> Result<Vec<Vec<String>>> {
        let (found, args) = (self.found, self.args);
        let mut lines = Vec::new();
        let mut line = |key: &str, text: String| lines.push(vec![key.to_owned(), text]);
        line(args.metric.name(), with_error(found.value, found.standard_error));
        for (key, text) in self.uncertain(uncertainty)? {
            line(key, text);
        }
        let details = found.details.named();
        for (name, value) in &details {
            line(name, number(*value));
        }
        if let Some(of) = found.chosen {
            line("taken-from", of.words().into());
        }
        if let Value::Object(parameters) = self.parameters() {
            let own = |name: &str| details.iter().any(|(key, _)| *key == name);
            for (name, value) in parameters.iter().filter(|(name, v)| !own(name) && !v.is_null()) {
                line(name, value.to_string());
            }
        }
        let both =
            |values: &[f64]| values.iter().map(|v| number(*v)).collect::<Vec<_>>().join(" and ");
        let sizes: Vec<String> = self.sizes().iter().map(|n| unknown(*n)).collect();
        line("samples", sizes.join(" and "));
        if let Some(described) = self.described {
            line("features", featured::words(described));
        }
        for note in self.notes() {
            line("note", note);
        }
        line("mass", both(&found.mass[..sizes.len()]));
        if let Some(discarded) = found.discarded {
            let outside = discarded.iter().any(|share| *share > 0.0);
            let said = if outside {
                " of the samples, outside the grid: all else is of the rest"
            } else {
                ""
            };
            line("discarded", both(&discarded) + said);
        }
        if let (Some(path), Some(plan)) = (&args.plan, &found.plan) {
            line(
                "plan",
                format!("{} moves (i, j, mass) in {}", plan.moves().len(), path.display()),
            );
        }
        line("seconds", short(self.seconds));
        Ok(lines)
    }
}

fn bootstrap(resampled: &Resampled, level: f64, seconds: f64) -> Result<Value> {
    let ends = |kind| resampled.interval(kind, level).map(|(low, high)| [exact(low), exact(high)]);
    Ok(json!({
        "scheme": resampled.scheme.name(),
        "resamples": resampled.values.len(),
        "mean": exact(resampled.mean()),
        "standard-error": exact(resampled.standard_error()),
        "level": level,
        "interval": ends(Interval::Centred)?,
        "basic": ends(Interval::Basic)?,
        "percentile": ends(Interval::Percentile)?,
        "seconds": seconds,
    }))
}

fn noise(floor: &NoiseFloor, seconds: f64) -> Value {
    json!({
        "halvings": floor.values.len(),
        "mean": exact(floor.mean()),
        "standard-deviation": exact(floor.standard_deviation()),
        "samples": floor.size,
        "seconds": seconds,
    })
}

/// A number; JSON has no others than finite ones, so those are words.
pub(super) fn exact(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { json!(value.to_string()) }
}

fn unknown(size: usize) -> String {
    if size == 0 { "unknown".into() } else { size.to_string() }
}

/// A value to the digits that its error leaves it: `0.5234 +- 0.0012`.
pub(super) fn with_error(value: f64, error: Option<f64>) -> String {
    let Some(error) = error.filter(|e| e.is_finite() && *e > 0.0) else { return number(value) };
    let last = error.log10().floor() as i32 - 1;
    let size = value.abs().max(error).log10().floor() as i32;
    if (-4..6).contains(&size) {
        let decimals = (-last).clamp(0, 17) as usize;
        return format!("{value:.decimals$} +- {error:.decimals$}");
    }
    // Both over the same power of ten.
    let (scale, decimals) = (10_f64.powi(size), (size - last).clamp(0, 17) as usize);
    let (value, error) = (value / scale, error / scale);
    format!("({value:.decimals$} +- {error:.decimals$})e{size}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_digits_their_errors_leave() {
        assert_eq!(with_error(0.523_44, Some(0.001_23)), "0.5234 +- 0.0012");
        assert_eq!(with_error(1234.6, Some(99.6)), "1235 +- 100");
        assert_eq!(with_error(1.234_4e-7, Some(3.2e-9)), "(1.234 +- 0.032)e-7");
        assert_eq!(with_error(2.0, None), "2");
        assert_eq!(with_error(0.0, Some(0.25)), "0.00 +- 0.25");
        assert_eq!(number(1e-17), "1.00000e-17");
        assert_eq!(short(0.0123), "0.012");
    }
}
