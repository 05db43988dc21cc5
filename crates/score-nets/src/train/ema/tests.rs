use candle_core::Device;

use super::*;

/// The weight of parameter `k = 1..=n` in the average after `n` updates.
fn weights(profile: EmaProfile, n: u64) -> Vec<f64> {
    let mut weights = Vec::new();
    for step in 0..n {
        let decay = profile.decay(step);
        weights.iter_mut().for_each(|w| *w *= decay);
        weights.push(1.0 - decay);
    }
    weights
}

/// Mean weight of the power function over each update, and its width over the run.
#[test]
fn a_power_profile_weighs_the_past_by_a_power() {
    for sigma_rel in [0.02, 0.05, 0.1, 0.25] {
        let (n, gamma) = (2000, power_gamma(sigma_rel).unwrap());
        let weights = weights(EmaProfile::Power { sigma_rel }, n);
        let share = |k: f64| (k / n as f64).powf(gamma + 1.0);
        for (k, w) in weights.iter().enumerate() {
            let expected = share(k as f64 + 1.0) - share(k as f64);
            assert!((w - expected).abs() < 1e-13, "{k}: {w} {expected}");
        }
        let moment = |p: i32| {
            let at = |k: usize| ((k as f64 + 0.5) / n as f64).powi(p);
            weights.iter().enumerate().map(|(k, w)| w * at(k)).sum::<f64>()
        };
        let width = (moment(2) - moment(1).powi(2)).sqrt();
        assert!((width / sigma_rel - 1.0).abs() < 1e-3, "{sigma_rel}: {width}");
    }
    // The uniform average, and the paper's pairs.
    assert!(power_gamma(12.0_f64.sqrt().recip()).unwrap() < 1e-7);
    assert!((power_gamma(0.05).unwrap() - 16.97).abs() < 5e-3);
    assert!((power_gamma(0.10).unwrap() - 6.94).abs() < 5e-3);
    assert!(power_gamma(0.3).is_err() && power_gamma(0.0).is_err());
}

#[test]
fn other_profiles() {
    let old = [EmaConfig { decay: 0.99, warmup: true }, EmaConfig { decay: 0.9, warmup: false }];
    for config in old {
        let profile = EmaProfile::from(config);
        let warm = |n: u64| config.decay.min((1.0 + n as f64) / (10.0 + n as f64));
        let decay = |n: u64| if config.warmup { warm(n) } else { config.decay };
        (0..5000).step_by(7).for_each(|n| assert_eq!(profile.decay(n), decay(n)));
    }
    // What EDM computes: half a million images, batches of 512, ramp 0.05.
    let (batch, half) = (512.0, 500_000.0);
    let profile = EmaProfile::HalfLife { half_life: half / batch, ramp_up: 0.05 };
    for n in [0_u64, 1, 20, 5000, 19_531, 40_000] {
        let images = n as f64 * batch;
        let half: f64 = f64::min(half, images * 0.05);
        let expected = 0.5_f64.powf(batch / half.max(1e-8));
        assert!((profile.decay(n) - expected).abs() < 1e-14, "{n}");
    }
    let refused = |p: EmaProfile| p.validate().map_or_else(|e| e.to_string(), |()| String::new());
    assert!(refused(EmaProfile::Constant { decay: 1.0 }).contains("ema.decay = 1"));
    assert!(
        refused(EmaProfile::HalfLife { half_life: 0.0, ramp_up: 0.0 }).contains("half-life = 0")
    );
    assert!(refused(EmaProfile::Power { sigma_rel: 0.4 }).contains("ema.sigma-rel = 0.4"));
}

fn stored(n: u64, every: u64) -> Vec<Snapshot> {
    let at = |step: u64| [0.05, 0.10].map(|sigma_rel| Snapshot { step: step as f64, sigma_rel });
    (1..=n / every).flat_map(|k| at(k * every)).collect()
}

/// A stored average is itself; the scalar products are those of quadrature.
#[test]
fn reconstruction_solves_the_least_squares() {
    let all = stored(800, 100);
    for (i, s) in all.iter().enumerate() {
        let made = reconstruction(&all, *s).unwrap();
        for (j, c) in made.coefficients.iter().enumerate() {
            let expected = f64::from(u8::from(i == j));
            assert!((c - expected).abs() < 1e-7, "{i}, {j}: {c}");
        }
        assert!(made.error < 1e-6);
    }
    for (a, b) in [((3.0, 2.5), (5.0, 7.0)), ((5.0, 7.0), (3.0, 2.5)), ((4.0, 1.0), (4.0, 16.9))] {
        let n = 400_000;
        let until = f64::min(a.0, b.0);
        let density = |(t, g): (f64, f64), x: f64| (g + 1.0) / t * (x / t).powf(g);
        let h = until / f64::from(n);
        let middle = |i: i32| (f64::from(i) + 0.5) * h;
        let sum: f64 = (0..n).map(|i| density(a, middle(i)) * density(b, middle(i)) * h).sum();
        assert!((inner(a, b) / sum - 1.0).abs() < 1e-8, "{} {sum}", inner(a, b));
    }
}

/// Averages kept during a run of a random walk make one that was not kept.
#[test]
fn reconstruction_makes_the_average_that_was_not_kept() {
    let (n, every, other) = (8000_u64, 500_u64, 0.075);
    let profiles = [0.05, 0.10, other].map(|sigma_rel| EmaProfile::Power { sigma_rel });
    let mut steps = vec![0.0; n as usize];
    sde_core::Key::root(4).fill_normals(0, &mut steps);
    let (mut parameter, mut averages, mut kept) = (0.0, [0.0; 3], Vec::new());
    for (step, move_by) in (0..n).zip(steps) {
        parameter += move_by / 90.0;
        for (average, profile) in averages.iter_mut().zip(profiles) {
            let decay = profile.decay(step);
            *average = decay * *average + (1.0 - decay) * parameter;
        }
        if (step + 1) % every == 0 {
            kept.extend(averages[..2].iter().copied());
        }
    }
    let target = Snapshot { step: n as f64, sigma_rel: other };
    let made = reconstruction(&stored(n, every), target).unwrap();
    let value: f64 = made.coefficients.iter().zip(&kept).map(|(c, v)| c * v).sum();
    // Neither stored average is near it.
    assert!((averages[0] - averages[2]).abs() > 0.01 && (averages[1] - averages[2]).abs() > 0.01);
    assert!((value - averages[2]).abs() < 1e-3, "{value} {}", averages[2]);
    assert!(made.error < 0.01, "{}", made.error);
}

#[test]
fn impossible_reconstructions() {
    let at = |step, sigma_rel| Snapshot { step, sigma_rel };
    let refused = |stored: &[Snapshot], target| match reconstruction(stored, target) {
        Err(error) => error.to_string(),
        Ok(made) => format!("{made:?}"),
    };
    assert!(refused(&[], at(1.0, 0.1)).contains("snapshots = 0"));
    assert!(refused(&[at(0.0, 0.1)], at(1.0, 0.1)).contains("snapshot.step = 0"));
    let twice = [at(5.0, 0.1), at(5.0, 0.1)];
    assert!(refused(&twice, at(5.0, 0.1)).contains("snapshot 1 is there twice"));
    assert!(refused(&[at(5.0, 0.1)], at(6.0, 0.1)).contains("after the last snapshot, at step 5"));
}

#[test]
fn averages_of_tensors() {
    let tensor = |v: &[f64]| Tensor::from_slice(v, v.len(), &Device::Cpu).unwrap();
    let at = |v: f64| vec![tensor(&[v, -v]), tensor(&[3.0 * v])];
    let profiles = vec![EmaProfile::Power { sigma_rel: 0.2 }, EmaProfile::Constant { decay: 0.75 }];
    let mut averages = Averages::new(profiles.clone(), &at(1.0)).unwrap();
    let mut expected = [1.0; 2];
    for step in 0..5 {
        let v = f64::from(step).sin();
        averages.update(&at(v)).unwrap();
        for (e, p) in expected.iter_mut().zip(&profiles) {
            let d = p.decay(step as u64);
            *e = *e * d + v * (1.0 - d);
        }
    }
    assert_eq!(averages.updates(), 5);
    for (values, e) in averages.values().iter().zip(expected) {
        assert_eq!(values[0].to_vec1::<f64>().unwrap(), [e, -e]);
        assert!((values[1].to_vec1::<f64>().unwrap()[0] - 3.0 * e).abs() < 1e-15);
    }
    let mixed = combine(&[2.0, -1.0], averages.values()).unwrap();
    let expected = 2.0 * expected[0] - expected[1];
    assert!((mixed[0].to_vec1::<f64>().unwrap()[0] - expected).abs() < 1e-15);
    assert!(combine(&[1.0], averages.values()).is_err());
    assert!(averages.update(&at(0.0)[..1]).is_err());
    assert!(Averages::restore(profiles, vec![at(0.0)], 3).is_err());
}
