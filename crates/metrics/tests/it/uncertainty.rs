//! Error bars against the truth: what is claimed of one sample is what many samples do.

use metrics::{
    Change, Difference, Estimate, HistogramBuilder, Interval, Kind, Metric, Options, Resampling,
    Sample, Scheme, w2,
};
use ndarray::{Array1, Array2, Axis};
use sde_core::Key;
use statrs::distribution::{Binomial, ChiSquared, ContinuousCDF, DiscreteCDF, FisherSnedecor};

use crate::support::check_close;

/// Half the false-alarm rate of a statistical test: one for each tail.
const TAIL: f64 = 5e-7;

/// Parameters at which nothing is chosen by the samples.
fn options() -> Options {
    let chosen = Options { bandwidth: Some(1.0), epsilon: Some(0.5), ..Options::default() };
    Options { unbiased: true, projections: 8, neighbours: Some(2), ..chosen }
}

fn normals(key: Key, n: usize, d: usize) -> Array2<f64> {
    let mut values = Array2::zeros((n, d));
    key.fill_normals(0, values.as_slice_mut().expect("contiguous"));
    values
}

/// Sizes at which the first order of an error bar is all there is to see.
fn sizes(kind: Kind) -> (usize, usize) {
    match kind {
        Kind::Histogram => (2000, 1500),
        // Those of two models at the same points.
        Kind::LogDensities => (150, 150),
        _ => (150, 100),
    }
}

/// The first law, `N(0, 1)`, and the second, wider and elsewhere by `apart`.
fn draw(kind: Kind, key: Key, n: usize, second: bool, apart: f64) -> Sample {
    let mut points = normals(key, n, 2);
    if second {
        points *= 1.0 + 0.4 * apart;
        points.column_mut(0).mapv_inplace(|x| x + apart);
    }
    match kind {
        Kind::Histogram => {
            let mut builder = HistogramBuilder::new(2.0, 3).unwrap();
            builder.add(points.view()).unwrap();
            Sample::Histogram(builder.finish().unwrap())
        }
        Kind::LogDensities => Sample::LogDensities(points.sum_axis(Axis(1)).mapv(|x| -x * x)),
        _ => Sample::cloud(points),
    }
}

fn pair(kind: Kind, key: Key, apart: f64) -> (Sample, Sample) {
    let (n, m) = sizes(kind);
    (draw(kind, key.fold(0), n, false, apart), draw(kind, key.fold(1), m, true, apart))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (values.len() as f64 - 1.0)
}

/// Every metric with every kind of sample it takes.
fn cases() -> impl Iterator<Item = (Metric, Kind)> {
    Metric::ALL.iter().flat_map(|metric| metric.info().kinds().map(|kind| (*metric, kind)))
}

/// The variance of the values against a claimed one.
#[track_caller]
fn check_variance(what: &str, values: &[f64], claimed: f64) {
    let freedom = values.len() as f64 - 1.0;
    let law = ChiSquared::new(freedom).unwrap();
    let ratio = variance(values) / claimed;
    let (low, high) = (law.inverse_cdf(TAIL) / freedom, law.inverse_cdf(1.0 - TAIL) / freedom);
    eprintln!("{what}: true / claimed standard deviation {:.3}", ratio.sqrt());
    assert!(ratio > low && ratio < high, "{what}: variance {ratio} of the claimed one");
}

/// How often intervals held what they should, against their level.
#[track_caller]
fn check_coverage(what: &str, covered: usize, of: usize, level: f64) {
    let law = Binomial::new(level, of as u64).unwrap();
    let (low, high) = (law.inverse_cdf(TAIL), law.inverse_cdf(1.0 - TAIL));
    eprintln!("{what}: coverage {:.3} at {level}", covered as f64 / of as f64);
    let covered = covered as u64;
    assert!(covered >= low && covered <= high, "{what}: {covered} of {of}, expected {low}..{high}");
}

/// The closed forms: the claimed variance is the true one, and 1.96 of its roots cover 95 %.
#[test]
#[ignore = "slow"]
fn slow_standard_errors_are_the_scatter() {
    let repeats = 400;
    for (metric, kind) in cases().filter(|(metric, _)| !metric.info().error.is_empty()) {
        let what = format!("{} of {}", metric.name(), kind.name());
        let found: Vec<(f64, f64)> = (0..repeats)
            .map(|repeat| {
                let (x, y) = pair(kind, Key::root(11).fold(repeat), 1.0);
                let found = metric.evaluate(&x, &y, &options()).unwrap();
                (found.value, found.standard_error.expect("it is claimed"))
            })
            .collect();
        let values: Vec<f64> = found.iter().map(|(value, _)| *value).collect();
        let claimed = mean(&found.iter().map(|(_, error)| error * error).collect::<Vec<_>>());
        check_variance(&what, &values, claimed);
        let centre = mean(&values);
        let covers = |(value, error): &&(f64, f64)| (value - centre).abs() < 1.959_964 * error;
        check_coverage(&what, found.iter().filter(covers).count(), found.len(), 0.95);
    }
}

/// Where the laws agree, a quadratic statistic has no first order, and its influence function is noise,
/// of a variance above that of the statistic: no error bar is too small there either.
#[test]
#[ignore = "slow"]
fn slow_standard_errors_are_safe_where_laws_agree() {
    for (metric, kind) in cases().filter(|(metric, _)| !metric.info().error.is_empty()) {
        let what = format!("{} of {}, no difference", metric.name(), kind.name());
        let found: Vec<(f64, f64)> = (0..300)
            .map(|repeat| {
                let (x, y) = pair(kind, Key::root(24).fold(repeat), 0.0);
                let found = metric.evaluate(&x, &y, &options()).unwrap();
                (found.value, found.standard_error.expect("it is claimed"))
            })
            .collect();
        let values: Vec<f64> = found.iter().map(|(value, _)| *value).collect();
        let claimed = mean(&found.iter().map(|(_, error)| error * error).collect::<Vec<_>>());
        let ratio = variance(&values) / claimed;
        let freedom = values.len() as f64 - 1.0;
        let high = ChiSquared::new(freedom).unwrap().inverse_cdf(1.0 - TAIL) / freedom;
        eprintln!("{what}: true / claimed standard deviation {:.3}", ratio.sqrt());
        assert!(ratio < high, "{what}: variance {ratio} of the claimed one");
    }
}

/// Weighted clouds: importance weights that turn the first law into another.
#[test]
#[ignore = "slow"]
fn slow_standard_errors_of_weighted_clouds_are_the_scatter() {
    for metric in Metric::ALL.iter().filter(|m| m.info().weights && !m.info().error.is_empty()) {
        let (mut values, mut variances) = (Vec::new(), Vec::new());
        for repeat in 0..400 {
            let key = Key::root(12).fold(repeat);
            let x = normals(key.fold(0), 150, 2);
            let weights: Array1<f64> = x.rows().into_iter().map(|x| (0.7 * x[0]).exp()).collect();
            let weights = &weights / weights.sum();
            let y = Sample::cloud(normals(key.fold(1), 100, 2) * 1.3 - 1.0);
            let found = metric.evaluate(&Sample::weighted(x, weights), &y, &options()).unwrap();
            values.push(found.value);
            variances.push(found.standard_error.expect("it is claimed").powi(2));
        }
        check_variance(metric.name(), &values, mean(&variances));
    }
}

/// An isometry into more dimensions, fewer or more than there are points, changes no error bar.
#[test]
fn frechet_errors_of_flat_clouds_are_those_in_the_plane() {
    let (x, y) = (normals(Key::root(25), 30, 2), normals(Key::root(26), 25, 2) * 1.5 + 0.3);
    let flat = metrics::frechet_standard_error(x.view(), y.view()).unwrap();
    for dim in [3, 20, 28, 60] {
        let mut axes = normals(Key::root(27).fold(dim as u64), 2, dim);
        let first = axes.row(0).to_owned();
        let overlap = first.dot(&axes.row(1)) / first.dot(&first);
        axes.row_mut(1).scaled_add(-overlap, &first);
        for mut axis in axes.rows_mut() {
            let length = axis.dot(&axis).sqrt();
            axis /= length;
        }
        let (x, y) = (x.dot(&axes), y.dot(&axes));
        let error = metrics::frechet_standard_error(x.view(), y.view()).unwrap();
        check_close(&format!("{dim} dimensions"), error, flat, 1e-10, 0.0);
    }
}

/// Resamples of some samples scatter as many samples do.
#[test]
#[ignore = "slow"]
fn slow_resamples_scatter_as_samples_do() {
    let (repeats, sets, resamples) = (300, 10, 40);
    for (metric, kind) in cases() {
        let what = format!("{} of {}", metric.name(), kind.name());
        let values: Vec<f64> = (0..repeats)
            .map(|repeat| {
                let (x, y) = pair(kind, Key::root(13).fold(repeat), 1.0);
                metric.evaluate(&x, &y, &options()).unwrap().value
            })
            .collect();
        let variances: Vec<f64> = (0..sets)
            .map(|set| {
                let (x, y) = pair(kind, Key::root(14).fold(set), 1.0);
                let how = Resampling::new(Key::root(15).fold(set), resamples);
                let found = metric.resample(&x, &y, &options(), &how).unwrap();
                found.standard_error().powi(2)
            })
            .collect();
        let freedom = (sets as usize * (resamples - 1)) as f64;
        let law = FisherSnedecor::new(repeats as f64 - 1.0, freedom).unwrap();
        let ratio = variance(&values) / mean(&variances);
        eprintln!("{what}: true / resampled standard deviation {:.3}", ratio.sqrt());
        let (low, high) = (law.inverse_cdf(TAIL), law.inverse_cdf(1.0 - TAIL));
        assert!(ratio > low && ratio < high, "{what}: {ratio} outside {low}..{high}");
    }
}

/// Intervals hold the expectation of the metric as often as they say.
#[test]
#[ignore = "slow"]
fn slow_intervals_cover() {
    let (repeats, resamples) = (300, 200);
    for (metric, kind) in cases() {
        let what = format!("{} of {}", metric.name(), kind.name());
        let found: Vec<(f64, (f64, f64))> = (0..repeats)
            .map(|repeat| {
                let (x, y) = pair(kind, Key::root(16).fold(repeat), 1.0);
                let how = Resampling::new(Key::root(17).fold(repeat), resamples);
                let found = metric.resample(&x, &y, &options(), &how).unwrap();
                (found.estimate, found.interval(Interval::Centred, 0.9).unwrap())
            })
            .collect();
        let centre = mean(&found.iter().map(|(value, _)| *value).collect::<Vec<_>>());
        let covers = |(_, (low, high)): &&(f64, (f64, f64))| *low < centre && centre < *high;
        // Subsamples of what neighbours see scatter too much, not too little.
        let covered = found.iter().filter(covers).count();
        let wide = metric.info().scheme == Scheme::Subsample;
        check_coverage(&what, if wide { covered.min(270) } else { covered }, found.len(), 0.9);
    }
}

/// A floor is what the metric finds between two samples of one law, of the sizes it states.
#[test]
fn floors_are_what_equal_laws_give() {
    let (repeats, sets, halvings) = (200, 20, 10);
    for (metric, kind) in cases().filter(|(_, kind)| *kind != Kind::LogDensities) {
        let what = format!("{} of {}", metric.name(), kind.name());
        let n = sizes(kind).1;
        let values: Vec<f64> = (0..repeats)
            .map(|repeat| {
                let key = Key::root(18).fold(repeat);
                let x = draw(kind, key.fold(0), n / 2, false, 0.0);
                let y = draw(kind, key.fold(1), n / 2, false, 0.0);
                metric.evaluate(&x, &y, &options()).unwrap().value
            })
            .collect();
        let floors: Vec<_> = (0..sets)
            .map(|set| {
                let truth = draw(kind, Key::root(19).fold(set), n, false, 0.0);
                let key = Key::root(20).fold(set);
                metric.noise_floor(&truth, &options(), key, halvings).unwrap()
            })
            .collect();
        assert_eq!(floors[0].size, [n / 2, n / 2]);
        // Each set gives at least one independent value: 1e-6 is 4.9 standard deviations.
        let means: Vec<f64> = floors.iter().map(|floor| floor.mean()).collect();
        let scatter = (variance(&values) * (1.0 / repeats as f64 + 1.0 / sets as f64)).sqrt();
        let off = (mean(&means) - mean(&values)) / scatter;
        eprintln!("{what}: floor {:.4}, off by {off:.2} of its scatter", mean(&means));
        assert!(off.abs() < 4.9, "{what}: {off}");
        // All values of all floors together are a sample of that law.
        let all: Vec<f64> = floors.iter().flat_map(|f| f.values.clone()).collect();
        let law = FisherSnedecor::new(repeats as f64 - 1.0, sets as f64 - 1.0).unwrap();
        let ratio = variance(&values) / variance(&all);
        let (low, high) = (law.inverse_cdf(TAIL), law.inverse_cdf(1.0 - TAIL));
        assert!(ratio > low && ratio < high, "{what}: {ratio} outside {low}..{high}");
    }
}

#[test]
fn resamples_and_floors_do_not_depend_on_threads() {
    for (metric, kind) in cases() {
        let (x, y) = pair(kind, Key::root(21), 0.5);
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let how = Resampling::new(Key::root(22), 5);
                let resampled = metric.resample(&x, &y, &options(), &how).unwrap();
                let floor = metric.noise_floor(&y, &options(), Key::root(23), 5).ok();
                (resampled, floor)
            })
        };
        assert_eq!(with(1), with(3), "{}", metric.name());
    }
}

#[test]
fn intervals_are_what_they_say() {
    let values: Vec<f64> = (1..100).map(f64::from).collect();
    let found = metrics::Resampled { estimate: 30.0, values, scheme: Scheme::Bootstrap };
    assert_eq!(found.mean(), 50.0);
    assert_eq!(found.interval(Interval::Percentile, 0.5).unwrap(), (25.0, 75.0));
    assert_eq!(found.interval(Interval::Basic, 0.5).unwrap(), (-15.0, 35.0));
    assert_eq!(found.interval(Interval::Centred, 0.5).unwrap(), (5.0, 55.0));
    for level in [0.0, 1.0, -0.5, f64::NAN] {
        assert!(found.interval(Interval::Centred, level).is_err(), "{level}");
    }
}

#[test]
fn a_share_of_halvings_is_a_p_value() {
    let floor = metrics::NoiseFloor { size: [5, 5], values: vec![1.0, 2.0, 3.0, 4.0] };
    assert_eq!([0.0, 2.5, 3.0, 5.0].map(|v| floor.share_above(v)), [1.0, 0.6, 0.6, 0.2]);
}

#[test]
fn misuse_is_named() {
    let x = draw(Kind::Cloud, Key::root(1), 20, false, 0.0);
    let refused = |resamples: usize| {
        let how = Resampling::new(Key::root(0), resamples);
        Metric::W2.resample(&x, &x, &Options::default(), &how).unwrap_err().to_string()
    };
    assert_eq!(refused(1), "resamples must be >= 2, found 1");
    let floor = Metric::W2.noise_floor(&x, &Options::default(), Key::root(0), 0);
    assert_eq!(floor.unwrap_err().to_string(), "halvings must be >= 1, found 0");
    let one = draw(Kind::Cloud, Key::root(1), 1, false, 0.0);
    let floor = Metric::W2.noise_floor(&one, &Options::default(), Key::root(0), 3);
    assert_eq!(
        floor.unwrap_err().to_string(),
        "sample to draw from has 1 rows, expected at least 2"
    );
    let unknown = metrics::Histogram2d::from_weights(1.0, Array2::ones((2, 2))).unwrap();
    let unknown = Sample::Histogram(unknown);
    assert_eq!(Metric::W2.evaluate(&unknown, &unknown, &options()).unwrap().standard_error, None);
    let how = Resampling::new(Key::root(0), 5);
    let error = Metric::TotalVariation.resample(&unknown, &unknown, &options(), &how).unwrap_err();
    let said = "samples of a histogram to draw from must be known, found 0";
    assert_eq!(error.to_string(), said);
}

/// Squared W2 to one truth of two samples that are `apart` from it and, the second, by `more`.
fn two_distances(key: Key, apart: f64, more: f64) -> (Estimate, Estimate) {
    let truth = normals(key.fold(0), 300, 1);
    let distance = |purpose: u64, shift: f64| {
        let found = w2((normals(key.fold(purpose), 100, 1) + shift).view(), truth.view()).unwrap();
        let standard_error = found.standard_error(None, None).unwrap();
        Estimate { value: found.primal, standard_error }
    };
    (distance(1, apart), distance(2, apart + more))
}

/// Without a change the tests find one as often as their level says or less; a change of several
/// standard errors they find.
#[test]
fn a_change_is_called_one_at_the_level() {
    let (repeats, level) = (4000, 0.05);
    let found = |more: f64, test: fn(Estimate, Estimate) -> Difference| {
        let changes = (0..repeats).map(|repeat| {
            let (from, to) = two_distances(Key::root(31).fold(repeat), 1.0, more);
            test(from, to).at(level)
        });
        changes.filter(|change| *change != Change::Holds).count()
    };
    let most = Binomial::new(level, repeats).unwrap().inverse_cdf(1.0 - 2.0 * TAIL) as usize;
    // The truth is shared, which only the second allows for; that a shared truth correlates these two
    // positively makes the first safe as well.
    for test in [Difference::independent, Difference::dependent] {
        let alarms = found(0.0, test);
        eprintln!("false alarms: {} at {level}", alarms as f64 / repeats as f64);
        assert!(alarms <= most, "{alarms} of {repeats}, at most {most}");
        // Squared distances 1 and 2.25 with errors of 0.2 and 0.3.
        let power = found(0.5, test) as f64 / repeats as f64;
        eprintln!("power: {power}");
        assert!(power > 0.5, "{power}");
    }
    let (from, to) = two_distances(Key::root(31), 1.0, 2.0);
    assert_eq!(Difference::dependent(from, to).at(0.01), Change::Rises);
    assert_eq!(Difference::dependent(to, from).at(0.01), Change::Falls);
    assert_eq!(Difference::dependent(to, to).at(0.01), Change::Holds);
    let certain = Estimate { value: 1.0, standard_error: 0.0 };
    assert_eq!(Difference::independent(certain, certain).p_value, 1.0);
    assert_eq!(Difference::independent(certain, to).at(0.01), Change::Rises);
}

/// Independent estimates of one expectation: the level is reached, not only kept.
#[test]
fn the_test_of_independent_estimates_has_its_level() {
    let (repeats, level) = (4000, 0.05);
    let estimate = |key: Key| Estimate::of_mean(normals(key, 200, 1).as_slice().unwrap());
    let alarms = (0..repeats).filter(|repeat| {
        let key = Key::root(32).fold(*repeat);
        let difference = Difference::independent(estimate(key.fold(0)), estimate(key.fold(1)));
        difference.at(level) != Change::Holds
    });
    check_coverage("false alarms", alarms.count(), repeats as usize, level);
    // With errors from three values only the t-test has it.
    let few = |key: Key| Estimate::of_mean(normals(key, 3, 1).as_slice().unwrap());
    let alarms = (0..repeats).filter(|repeat| {
        let difference =
            Difference::independent(Estimate::default(), few(Key::root(34).fold(*repeat)));
        difference.with_freedom(2.0).at(level) != Change::Holds
    });
    check_coverage("false alarms of the t-test", alarms.count(), repeats as usize, level);
}

/// The largest of nineteen draws of its floor is exceeded by chance once in twenty times, whatever the
/// sizes, and nearly always where there is a difference.
#[test]
fn floors_are_exceeded_by_chance_as_often_as_they_say() {
    let repeats = 1000;
    let above = |shift: f64| {
        let count = (0..repeats).filter(|repeat| {
            let key = Key::root(33).fold(*repeat);
            let (x, y) = (normals(key.fold(0), 40, 1), normals(key.fold(1), 120, 1) + shift);
            let pool = ndarray::concatenate(Axis(0), &[x.view(), y.view()]).unwrap();
            let (x, y, pool) = (Sample::cloud(x), Sample::cloud(y), Sample::cloud(pool));
            let value = Metric::W2.evaluate(&x, &y, &options()).unwrap().value;
            let floor =
                Metric::W2.noise_floor_of(&pool, [40, 120], &options(), key.fold(2), 19).unwrap();
            floor.share_above(value) <= 0.05
        });
        count.count()
    };
    check_coverage("exceeded by chance", above(0.0), repeats as usize, 0.05);
    assert!(above(1.0) > 900);
}
