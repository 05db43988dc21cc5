//! The discrete schedule as a process: its nodes, what lies between them, its inverse.

use sde_core::schedule::{self, alphas_cumprod, ddpm_betas};
use sde_core::sde::{self, Betas, Interpolation};
use sde_core::{Discrete, Sde};

fn both() -> [Discrete; 2] {
    let betas = ddpm_betas(1000, 0.1, 20.0);
    [Interpolation::LogRatio, Interpolation::Ratio]
        .map(|b| Discrete::new(&betas).unwrap().with_interpolation(b))
}

/// The nodes are the products of `1 - beta`, as published code forms them.
#[test]
fn the_nodes_are_the_training_steps() {
    let products = alphas_cumprod(&ddpm_betas(1000, 0.1, 20.0));
    for sde in both() {
        assert_eq!((sde.horizon(), sde.marginal(0.0).sigma), (1000.0, 0.0));
        for (i, product) in products.iter().enumerate() {
            let m = sde.marginal(i as f64 + 1.0);
            assert!((m.alpha * m.alpha / product - 1.0).abs() < 1e-12, "{i}");
            assert!((m.sigma * m.sigma / (1.0 - product) - 1.0).abs() < 1e-11, "{i}");
        }
    }
}

/// Half way between two nodes lies the geometric or the arithmetic mean of their noise levels.
#[test]
fn between_the_nodes() {
    let [log, linear] = both();
    for i in [1.0, 17.0, 500.0, 999.0] {
        let (a, b) = ((-log.half_log_snr(i)).exp(), (-log.half_log_snr(i + 1.0)).exp());
        let at = |sde: &Discrete| (-sde.half_log_snr(i + 0.5)).exp();
        assert!((at(&log) / (a * b).sqrt() - 1.0).abs() < 1e-12);
        assert!((at(&linear) / (0.5 * (a + b)) - 1.0).abs() < 1e-12);
    }
}

/// `d log alpha / dt = a`, `d sigma^2 / dt = 2 a sigma^2 + g^2` inside the cells, kernels that
/// compose, and an inverse that inverts.
#[test]
fn it_is_a_linear_sde() {
    for sde in both() {
        for t in [0.01, 0.5, 0.9, 1.3, 2.5, 40.7, 500.2, 998.1, 999.5] {
            let h = 1e-4 * t;
            let (m, p) = (sde.marginal(t - h), sde.marginal(t + h));
            let a = (p.alpha / m.alpha).ln() / (2.0 * h);
            let v = (p.sigma * p.sigma - m.sigma * m.sigma) / (2.0 * h);
            let (a1, g2) = (sde.drift_coef(t), sde.diffusion_squared(t));
            assert!((a / a1 - 1.0).abs() < 1e-6, "{t}: {a} {a1}");
            let v1 = 2.0 * a1 * sde.marginal(t).sigma.powi(2) + g2;
            assert!((v - v1).abs() < 1e-6 * g2, "{t}: {v} {v1}");

            let (s, m) = (0.3 * t, sde.marginal(t));
            let (k, m0) = (sde.transition(s, t), sde.marginal(s));
            assert!((k.alpha * m0.alpha / m.alpha - 1.0).abs() < 1e-13);
            let var = (k.alpha * m0.sigma).powi(2) + k.sigma.powi(2);
            assert!((var / m.sigma.powi(2) - 1.0).abs() < 1e-12);

            let back = sde.time_of_half_log_snr(sde.half_log_snr(t)).unwrap();
            assert!((back / t - 1.0).abs() < 1e-11, "{t} {back}");
        }
        assert_eq!(sde.time_of_half_log_snr(f64::INFINITY).unwrap(), 0.0);
        assert!(sde.time_of_half_log_snr(-10.0).is_err());
        assert!(sde.time_of_half_log_snr(f64::NAN).is_err());
    }
}

/// `(sigma / alpha)^2` is beyond the numbers from step 1024 on, `alpha` below them from 2151 on: the
/// logarithm goes on by `log(2) / 2` a step.
#[test]
fn signal_below_the_numbers_is_none() {
    for between in [Interpolation::LogRatio, Interpolation::Ratio] {
        let sde = Discrete::new(&[0.5; 4000]).unwrap().with_interpolation(between);
        let m = sde.marginal(4000.0);
        assert_eq!((m.alpha, m.sigma), (0.0, 1.0));
        let change = sde.half_log_snr(3000.0) - sde.half_log_snr(2000.0);
        assert!((change + 500.0 * std::f64::consts::LN_2).abs() < 1e-9, "{change}");
    }
    let sde = Discrete::new(&[0.5; 4000]).unwrap();
    for t in [900.5, 1500.25, 3999.0] {
        let found = sde.time_of_half_log_snr(sde.half_log_snr(t)).unwrap();
        assert!((found - t).abs() < 1e-9, "{t}: {found}");
    }
}

#[test]
fn bad_betas_are_refused() {
    let said = |betas: &[f64]| Discrete::new(betas).unwrap_err().to_string();
    assert_eq!(said(&[0.1]), "betas = 1: need at least two");
    assert_eq!(said(&[1.0, 0.1]), "beta[0] = 1: must lie between 0 and 1");
    assert_eq!(said(&[f64::NAN, 0.1]), "beta[0] = NaN: must lie between 0 and 1");
}

/// The schedules of diffusers: first, middle and last beta of a thousand, from their formulas in 40 digits; the
/// cosine's middle product too.
#[test]
fn named_tables_are_those_of_diffusers() {
    let table = |text: &str| text.parse::<Betas>().unwrap().values().unwrap();
    for (text, expected) in [
        ("linear,0.0001,0.02,1000", [1e-4, 0.010_059_959_959_959_96, 0.02]),
        ("scaled_linear,0.00085,0.012,1000", [0.000_85, 0.004_814_954_141_711_879, 0.012]),
        ("squaredcos_cap_v2,1000", [4.128_422_482_177_78e-5, 0.003_155_691_441_585_003, 0.999]),
        (
            "sigmoid,0.0001,0.02,1000",
            [0.000_149_205_200_817_032, 0.010_079_879_790_061_016, 0.019_950_794_799_182_968],
        ),
    ] {
        let betas = table(text);
        assert_eq!(betas.len(), 1000, "{text}");
        for (i, expected) in [0, 500, 999].into_iter().zip(expected) {
            assert!(
                (betas[i] / expected - 1.0).abs() < 1e-11,
                "{text} {i}: {} {expected}",
                betas[i]
            );
        }
        assert_eq!(text.parse::<Betas>().unwrap().to_string(), text);
    }
}

/// Everything a process says, to the bit.
fn bits(sde: &dyn Sde) -> Vec<u64> {
    let times = (0..=64).map(|k| (f64::from(k) / 64.0).powi(2) * sde.horizon());
    let at = |t: f64| {
        let (m, rate) = (sde.marginal(t), sde.marginal_rate(t));
        let coefficients = [sde.drift_coef(t), sde.diffusion_squared(t), sde.half_log_snr(t)];
        [m.alpha, m.sigma, rate.alpha, rate.sigma].into_iter().chain(coefficients)
    };
    times.flat_map(at).map(f64::to_bits).collect()
}

/// From a process to its name and back, for every table, rescaled or not, with either rule between steps.
#[test]
fn a_name_holds_the_whole_table() {
    let listed: Vec<f64> = (0..97)
        .map(|i| 1e-4 * (1.0 + f64::from(i) / 3.0).powf(1.0 + 1e-3 * f64::from(i)))
        .collect();
    let tables = [
        Betas::default(),
        Betas::Linear { start: 0.1 / 3.0, end: 0.2 / 7.0, steps: 11 },
        Betas::ScaledLinear { start: 0.00085, end: 0.012, steps: 1000 },
        Betas::SquaredCosine { steps: 250 },
        Betas::Sigmoid { start: 1e-4, end: 0.02, steps: 100 },
        Betas::Listed(listed),
        Betas::Listed(schedule::zero_terminal_snr(&ddpm_betas(100, 0.1, 20.0))),
    ];
    for table in tables {
        for between in [Interpolation::LogRatio, Interpolation::Ratio] {
            let plain = Discrete::of(table.clone()).unwrap().with_interpolation(between);
            for sde in [plain.clone(), plain.zero_terminal_snr().unwrap()] {
                let again = sde::parse(&sde.name()).unwrap();
                assert_eq!(again.name(), sde.name());
                assert!(bits(&*again) == bits(&sde), "{}", sde.name());
            }
        }
    }
    // Every other process by the name it gives itself.
    for name in sde::NAMES {
        let sde = sde::parse(name).unwrap();
        assert!(bits(&*sde::parse(&sde.name()).unwrap()) == bits(&*sde), "{name}");
    }
    assert_eq!(sde::parse("discrete").unwrap().name(), "discrete:betas=linear,0.0001,0.02,1000");
    let short =
        format!("{:?}", sde::parse("discrete:betas=listed,.1,.1,.1,.1,.1,.1,.1,.1,.1").unwrap());
    assert_eq!(short, "discrete:betas=listed,0.1,0.1,0.1,... (9 numbers)");
}

#[test]
fn tables_that_are_none_are_refused() {
    let said = |text: &str| sde::parse(&format!("discrete:{text}")).unwrap_err().to_string();
    assert_eq!(
        said("betas=quadratic"),
        "unknown betas `quadratic`: expected one of linear, scaled_linear, squaredcos_cap_v2, sigmoid, listed"
    );
    assert_eq!(said("betas=linear,x"), "betas = x: is not a number");
    assert_eq!(
        said("betas=linear,0.1,0.2,1.5"),
        "betas = 1.5: must be a whole number of steps up to 1e7"
    );
    assert_eq!(
        said("betas=linear,0.1,0.2,5,6"),
        "betas = linear,0.1,0.2,5,6: has too many numbers"
    );
    assert_eq!(said("betas=linear,0.1,2,5"), "beta[2] = 1.05: must lie between 0 and 1");
    assert_eq!(said("betas=listed,0.1"), "betas = 1: need at least two");
    assert_eq!(
        said("steps=7"),
        "unknown constant `steps`: expected one of betas, terminal-snr, between"
    );
    assert_eq!(said("between=nothing"), "between = nothing: must be log-ratio or ratio");
    assert_eq!(said("terminal-snr=1"), "terminal-snr = 1: must be zero");
    assert_eq!(said("betas=linear,betas=sigmoid"), "betas = sigmoid: is given twice");
    assert_eq!(said("0.1,0.2"), "0.1 = : is no constant: expected key=value");
}
