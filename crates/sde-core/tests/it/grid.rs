//! Time grids: ends, monotony, published values, refusals.

use sde_core::schedule::{Cosine, iddpm_sigmas};
use sde_core::{Edm, Ou, Sde, SubVp, TimeGrid, Ve, Vp};

#[test]
fn every_grid_on_every_sde() {
    let sdes: [Box<dyn Sde>; 4] =
        [Box::<Ou>::default(), Box::<Vp>::default(), Box::<SubVp>::default(), Box::<Ve>::default()];
    for sde in &sdes {
        for grid in TimeGrid::ALL {
            for n in [100, 137] {
                let (a, b) = (sde.horizon(), 1e-3 * sde.horizon());
                let t = grid.times(&**sde, n, a, b).unwrap();
                assert_eq!((t.len(), t[0], t[n]), (n + 1, a, b), "{} {}", grid.name(), sde.name());
                assert!(t.windows(2).all(|w| w[1] < w[0]));
            }
        }
        // To zero where the rule allows it.
        let karras = TimeGrid::Karras { rho: 7.0 };
        let cosine = TimeGrid::Cosine { s: 0.008 };
        for grid in [TimeGrid::Uniform, TimeGrid::Quadratic, karras, cosine] {
            assert_eq!(grid.times(&**sde, 10, sde.horizon(), 0.0).unwrap()[10], 0.0);
        }
    }
}

#[test]
fn rules_hold() {
    let vp = Vp::default();
    let t = TimeGrid::LogSnr.times(&vp, 20, 1.0, 1e-3).unwrap();
    let l: Vec<f64> = t.iter().map(|t| vp.half_log_snr(*t)).collect();
    let h = (l[20] - l[0]) / 20.0;
    assert!(l.windows(2).all(|w| (w[1] - w[0] - h).abs() < 1e-10));
    // On the variance-exploding process sigma is the variable of the published formula.
    let ve = Ve::new(0.002, 80.0).unwrap();
    let t = TimeGrid::Karras { rho: 7.0 }.times(&ve, 17, 1.0, 0.0).unwrap();
    let published = [80.0, 57.585_984_721_248_16, 40.785_573_796_507_96];
    for (t, p) in t.iter().zip(published) {
        assert!((ve.marginal(*t).sigma / p - 1.0).abs() < 1e-12);
    }
    // Halfway in the grid a quarter of log sigma is left.
    let t = TimeGrid::PolyExponential { rho: 2.0 }.times(&vp, 20, 1.0, 1e-3).unwrap();
    let l: Vec<f64> = t.iter().map(|t| vp.half_log_snr(*t)).collect();
    assert!((l[10] - l[20] - 0.25 * (l[0] - l[20])).abs() < 1e-10);
    let one = TimeGrid::PolyExponential { rho: 1.0 }.times(&vp, 20, 1.0, 1e-3).unwrap();
    assert_eq!(one, TimeGrid::LogSnr.times(&vp, 20, 1.0, 1e-3).unwrap());
    // Noise levels of the cosine schedule itself, at equal steps of its time.
    let (cosine, edm) = (Cosine { s: 0.008 }, Edm::default());
    let level = |u: f64| (cosine.sigma2(u) / (1.0 - cosine.sigma2(u))).sqrt();
    let t = TimeGrid::Cosine { s: 0.008 }.times(&edm, 10, level(0.9), 0.0).unwrap();
    assert!((1..10).all(|i| (t[i] / level(0.9 - 0.09 * i as f64) - 1.0).abs() < 1e-12));
    // The levels of the published grid of improved DDPM, from the authors' sampler.
    let (edm, levels) = (Edm::new(81.0).unwrap(), iddpm_sigmas(1000, 0.001, 0.008));
    let first = *levels.iter().find(|u| **u <= 81.0).unwrap();
    let t = TimeGrid::Iddpm.times(&edm, 9, first, levels[999]).unwrap();
    let published = [80.203_701_845_474_17, 5.376_378_290_812_823_5, 2.694_849_351_502_337];
    assert!(t.iter().zip(published).all(|(t, p)| (t / p - 1.0).abs() < 1e-12), "{t:?}");
    assert!(TimeGrid::Iddpm.times(&edm, 1000, first, levels[999]).is_err());
    let t = TimeGrid::Quadratic.times(&vp, 10, 1.0, 0.04).unwrap();
    assert!((t[5] - 0.36).abs() < 1e-15);
    let t = TimeGrid::OdeSdeGap.times(&Ou::default(), 890, 10.0, 0.0).unwrap();
    assert!((t[790] - 0.125).abs() < 1e-13 && (t[1] - 9.9875).abs() < 1e-13);
}

/// Noise levels beyond the numbers have logarithms: equal steps in the power of a level.
#[test]
fn levels_without_signal_have_a_grid() {
    let ou = Ou::new(800.0).unwrap();
    let times = TimeGrid::Karras { rho: 7.0 }.times(&ou, 4, 800.0, 0.0).unwrap();
    assert_eq!((times[0], times[4]), (800.0, 0.0));
    for (k, t) in times.iter().enumerate().take(4) {
        // sigma / alpha = e^t / sqrt(2) to rounding.
        let expected = 800.0 + 7.0 * (1.0 - k as f64 / 4.0).ln();
        assert!((t - expected).abs() < 1e-11, "{k}: {t} {expected}");
    }
}

#[test]
fn nonsense_is_refused() {
    let message =
        |grid: TimeGrid, n, a, b| grid.times(&Vp::default(), n, a, b).unwrap_err().to_string();
    assert_eq!(message(TimeGrid::Uniform, 10, 1.5, 0.0), "time t = 1.5 is outside [0, 1]");
    assert_eq!(message(TimeGrid::Uniform, 10, 1.0, f64::NAN), "time t = NaN is outside [0, 1]");
    assert_eq!(message(TimeGrid::Uniform, 10, 0.5, 0.5), "t_end = 0.5: must be below 0.5");
    assert_eq!(
        message(TimeGrid::Uniform, 0, 1.0, 0.0),
        "n_steps = 0: the grid uniform needs at least 1"
    );
    assert_eq!(
        message(TimeGrid::OdeSdeGap, 99, 1.0, 0.0),
        "n_steps = 99: the grid ode-sde-gap needs at least 100"
    );
    assert_eq!(message(TimeGrid::LogSnr, 10, 1.0, 0.0), "t_end = 0: log-snr needs sigma > 0 there");
    assert!(TimeGrid::parse("karras:rho=0").is_err() && TimeGrid::parse("uniform:n=1").is_err());
    assert!(TimeGrid::parse("sigmoid").unwrap_err().to_string().starts_with("unknown time grid"));
    for (grid, name) in TimeGrid::ALL.iter().zip(TimeGrid::NAMES) {
        assert_eq!(TimeGrid::parse(&grid.name()).unwrap(), *grid);
        assert_eq!(TimeGrid::parse(name).unwrap(), *grid);
    }
}

/// More steps than memory holds are refused before the first is placed.
#[test]
fn grids_beyond_memory_are_refused() {
    for n in [1 << 50, usize::MAX] {
        for grid in TimeGrid::ALL {
            let refused = grid.times(&Vp::default(), n, 1.0, 1e-3).unwrap_err().to_string();
            assert!(refused.starts_with("steps = ") && refused.contains("bytes"), "{refused}");
        }
    }
}
