//! What a device computes, held against the CPU.
//!
//! Every entry of [`CHECKS`] computes the same numbers on the CPU by plain tensor operations, and on the
//! device (twice: a device that does not repeat itself cannot resume a run). On the CPU itself the second
//! side is the fused kernels; layers of U-Nets, which have no second way there, are held against double precision. What is new in the workspace and runs on a device gets an entry here.

mod densities;
mod networks;
mod state;
mod times;
mod training;
mod unet;

use std::time::Instant;

use anyhow::Result;
use candle_core::{DType, Tensor};
use score_nets::{Backend, Kernels};
use serde::Serialize;

pub use times::{Times, times};

/// Where one of the two sides computes.
#[derive(Clone, Debug)]
pub struct Place {
    /// Device and element type.
    pub backend: Backend,
    /// Arithmetic of networks.
    pub kernels: Kernels,
    /// Whether this side is the one that the other is held against.
    pub reference: bool,
}

impl Place {
    fn dtype(&self) -> DType {
        self.backend.dtype()
    }

    /// Rows on the host as a tensor there.
    fn tensor(&self, values: &[f64], width: usize) -> Result<Tensor> {
        let shape = (values.len() / width, width);
        let host = Tensor::from_slice(values, shape, &candle_core::Device::Cpu)?;
        Ok(host.to_dtype(self.dtype())?.to_device(self.backend.device())?)
    }
}

/// What a check finds on one side.
#[derive(Clone, Debug)]
pub struct Found {
    /// What it is.
    pub name: String,
    /// The numbers, in parts that each have a magnitude of their own.
    pub parts: Vec<Vec<f64>>,
    /// What the other side may differ by, in units of the element type's rounding and relative to the
    /// largest number of a part; 0 where not a bit may differ.
    pub roundings: f64,
}

impl Found {
    fn new(name: impl Into<String>, roundings: f64, values: Vec<f64>) -> Self {
        Self { name: name.into(), parts: vec![values], roundings }
    }
}

/// Something that runs on a device.
#[derive(Clone, Copy)]
pub struct Check {
    /// What it is about.
    pub name: &'static str,
    /// Whether the CPU has a second way in `f64`, so that it can be held against itself.
    pub two_ways_in_f64: bool,
    /// Computes it on one side; the names and the order of what it finds are the same on both.
    pub run: fn(&Place) -> Result<Vec<Found>>,
}

/// Everything that is checked, in order.
pub const CHECKS: &[Check] = &[
    Check { name: "state", two_ways_in_f64: true, run: state::operations },
    Check { name: "noise", two_ways_in_f64: true, run: state::noise },
    Check { name: "score", two_ways_in_f64: false, run: networks::scores },
    Check { name: "derivatives", two_ways_in_f64: false, run: networks::derivatives },
    Check { name: "score matching", two_ways_in_f64: false, run: networks::score_matching },
    Check { name: "residual", two_ways_in_f64: false, run: networks::residuals },
    Check { name: "layers", two_ways_in_f64: false, run: unet::layers },
    Check { name: "U-Net", two_ways_in_f64: false, run: unet::network },
    Check { name: "training", two_ways_in_f64: false, run: training::steps },
    Check { name: "sampling", two_ways_in_f64: false, run: densities::samples },
    Check { name: "log-density", two_ways_in_f64: false, run: densities::log_densities },
];

/// One quantity in one element type.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The check.
    pub check: &'static str,
    /// The quantity.
    pub quantity: String,
    /// The element type.
    pub dtype: &'static str,
    /// The largest difference, relative to the largest number; none where the check failed before.
    #[serde(with = "crate::number")]
    pub difference: Option<f64>,
    /// What it may be.
    pub tolerance: f64,
    /// Whether the device found the same bits the second time.
    pub repeats: bool,
    /// What went wrong, where nothing was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Row {
    /// Whether all is well.
    pub fn holds(&self) -> bool {
        self.repeats && self.difference.is_some_and(|d| d <= self.tolerance)
    }
}

/// What was found on a device.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The device.
    pub device: String,
    /// Every quantity.
    pub rows: Vec<Row>,
    /// How many of them do not hold.
    pub failed: usize,
    /// Seconds.
    pub seconds: f64,
}

/// Holds every check of a list, on a device and in some element types, against the CPU.
///
/// # Errors
/// When there is no such device, or a type is none of its own. A check that fails is a row of the report.
///
/// ```
/// use experiments::device_check::{CHECKS, run};
/// let report = run(&CHECKS[..2], "cpu", &["f32"])?;
/// assert_eq!((report.device.as_str(), report.failed), ("cpu", 0));
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn run(checks: &[Check], device: &str, dtypes: &[&str]) -> Result<Report> {
    let start = Instant::now();
    let mut rows = Vec::new();
    for dtype in dtypes {
        let backend = Backend::parse(device, dtype)?;
        let cpu = backend.device().is_cpu();
        let tested = Place { backend, kernels: Kernels::Auto, reference: false };
        let reference = Place {
            backend: Backend::parse("cpu", dtype)?,
            kernels: Kernels::Composite,
            reference: true,
        };
        let one_way = cpu && tested.dtype() == DType::F64;
        for check in checks.iter().filter(|check| check.two_ways_in_f64 || !one_way) {
            rows.extend(held(check, &reference, &tested));
        }
    }
    let failed = rows.iter().filter(|row| !row.holds()).count();
    let seconds = start.elapsed().as_secs_f64();
    Ok(Report { device: device.trim().to_owned(), rows, failed, seconds })
}

/// The rows of one check.
fn held(check: &Check, reference: &Place, tested: &Place) -> Vec<Row> {
    let failed = |quantity: &str, tolerance: f64, error: String| Row {
        check: check.name,
        quantity: quantity.to_owned(),
        dtype: tested.backend.dtype_name(),
        difference: None,
        tolerance,
        repeats: false,
        error: Some(error),
    };
    let all = || -> Result<_> {
        Ok(((check.run)(reference)?, (check.run)(tested)?, (check.run)(tested)?))
    };
    let (expected, found, again) = match all() {
        Ok(all) => all,
        Err(error) => return vec![failed("", 0.0, format!("{error:#}"))],
    };
    let row = |(i, expected): (usize, &Found)| {
        let tolerance = expected.roundings * rounding(tested.dtype());
        let none = failed(&expected.name, tolerance, "the device does not find it".into());
        let Some(found) = found.get(i).filter(|found| found.name == expected.name) else {
            return none;
        };
        let repeats = again.get(i).is_some_and(|again| same_bits(&again.parts, &found.parts));
        let difference = Some(difference(&found.parts, &expected.parts));
        Row { difference, repeats, error: None, ..none }
    };
    expected.iter().enumerate().map(row).collect()
}

/// The distance from 1 to the next larger number of an element type.
fn rounding(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::EPSILON,
        DType::BF16 => 2_f64.powi(-7),
        _ => f64::from(f32::EPSILON),
    }
}

/// The largest difference over all parts, relative to the largest expected number of the part; infinite
/// where something is not a number or not there.
fn difference(found: &[Vec<f64>], expected: &[Vec<f64>]) -> f64 {
    let of_part = |(found, expected): (&Vec<f64>, &Vec<f64>)| {
        if found.len() != expected.len() {
            return f64::INFINITY;
        }
        let scale = expected.iter().fold(f64::MIN_POSITIVE, |m, x| m.max(x.abs()));
        let errors = found.iter().zip(expected).map(|(a, b)| ((a - b) / scale).abs());
        errors.fold(0.0, |m, e| if e.is_nan() { f64::INFINITY } else { f64::max(m, e) })
    };
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    found.iter().zip(expected).map(of_part).fold(0.0, f64::max)
}

fn same_bits(a: &[Vec<f64>], b: &[Vec<f64>]) -> bool {
    let bits = |parts: &[Vec<f64>]| -> Vec<Vec<u64>> {
        parts.iter().map(|part| part.iter().map(|x| x.to_bits()).collect()).collect()
    };
    bits(a) == bits(b)
}

/// The numbers of a tensor on the host.
fn host(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A check whose two sides differ by `1e-6` in `f32`.
    fn nearly(place: &Place) -> Result<Vec<Found>> {
        let off = if place.reference { 0.0 } else { 1e-6 };
        Ok(vec![
            Found::new("near", 10.0, vec![1.0 + off, -0.5]),
            Found::new("far", 1.0, vec![1.0 + off, -0.5]),
        ])
    }

    fn broken(place: &Place) -> Result<Vec<Found>> {
        anyhow::ensure!(place.reference, "no such kernel");
        Ok(vec![Found::new("any", 1.0, vec![1.0])])
    }

    fn restless(_: &Place) -> Result<Vec<Found>> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let call = f64::from(CALLS.fetch_add(1, Ordering::Relaxed));
        Ok(vec![Found::new("any", 1e9, vec![1.0 + 1e-9 * call])])
    }

    fn short(place: &Place) -> Result<Vec<Found>> {
        let all = vec![Found::new("first", 1.0, vec![1.0]), Found::new("second", 1.0, vec![1.0])];
        Ok(if place.reference { all } else { all[..1].to_vec() })
    }

    fn check(run: fn(&Place) -> Result<Vec<Found>>) -> Vec<(String, bool)> {
        let check = Check { name: "test", two_ways_in_f64: true, run };
        let report = super::run(&[check], "cpu", &["f32"]).expect("a report");
        assert_eq!(report.failed, report.rows.iter().filter(|row| !row.holds()).count());
        report.rows.iter().map(|row| (row.quantity.clone(), row.holds())).collect()
    }

    #[test]
    fn what_differs_or_fails_does_not_hold() {
        let named = |name: &str, holds| (name.to_owned(), holds);
        assert_eq!(check(nearly), [named("near", true), named("far", false)]);
        assert_eq!(check(broken), [named("", false)]);
        assert_eq!(check(restless), [named("any", false)]);
        assert_eq!(check(short), [named("first", true), named("second", false)]);
    }

    #[test]
    fn differences_are_relative_to_the_largest_of_a_part() {
        let one = |a: f64, b: f64| difference(&[vec![a, 0.0]], &[vec![b, -4.0]]);
        assert_eq!(difference(&[vec![1.0, 5.0]], &[vec![1.0, 4.0]]), 0.25);
        assert_eq!(difference(&[vec![0.0], vec![1.0]], &[vec![0.0], vec![2.0]]), 0.5);
        assert_eq!(difference(&[vec![]], &[vec![1.0]]), f64::INFINITY);
        assert_eq!(difference(&[], &[vec![1.0]]), f64::INFINITY);
        assert_eq!(one(f64::NAN, 1.0), f64::INFINITY);
        assert_eq!(one(f64::INFINITY, 1.0), f64::INFINITY);
    }

    #[test]
    fn f64_on_the_cpu_is_held_against_itself_only_where_there_are_two_ways() {
        let names = |dtype| {
            let report = super::run(CHECKS, "cpu", &[dtype]).expect("a report");
            assert_eq!(report.failed, 0, "{:#?}", report.rows);
            let mut names: Vec<&str> = report.rows.iter().map(|row| row.check).collect();
            names.dedup();
            names
        };
        assert_eq!(names("f64"), ["state", "noise"]);
        let all: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
        assert_eq!(names("f32"), all);
    }
}
