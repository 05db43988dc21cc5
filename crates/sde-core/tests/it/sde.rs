//! Kernels against their composition law, inverses.

use proptest::prelude::*;
use sde_core::{
    Brownian, CosineVp, Discrete, Edm, Error, Marginal, Ou, Rectified, Sde, SubVp, Ve, Vp,
    schedule, sde,
};

/// The names of the processes in continuous time.
fn continuous() -> Vec<&'static str> {
    sde::NAMES.iter().copied().filter(|name| *name != "discrete").collect()
}

fn any_sde() -> impl Strategy<Value = Box<dyn Sde>> {
    let schedule = (0.01..5.0_f64, 0.01..40.0_f64);
    prop_oneof![
        (0.5..20.0_f64).prop_map(|t| Box::new(Ou::new(t).unwrap()) as Box<dyn Sde>),
        schedule.clone().prop_map(|(a, b)| Box::new(Vp::new(a, b).unwrap()) as Box<dyn Sde>),
        schedule.prop_map(|(a, b)| Box::new(SubVp::new(a, b).unwrap()) as Box<dyn Sde>),
        (1e-3..0.5_f64, 1.0..200.0_f64)
            .prop_map(|(a, b)| Box::new(Ve::new(a, b).unwrap()) as Box<dyn Sde>),
        (1.0..200.0_f64).prop_map(|s| Box::new(Edm::new(s).unwrap()) as Box<dyn Sde>),
        (1.0..1e4_f64).prop_map(|t| Box::new(Brownian::new(t).unwrap()) as Box<dyn Sde>),
        Just(()).prop_map(|()| Box::new(Rectified) as Box<dyn Sde>),
        Just(()).prop_map(|()| Box::new(CosineVp) as Box<dyn Sde>),
        proptest::sample::select(continuous()).prop_map(|name| sde::parse(name).unwrap()),
    ]
}

proptest! {
    /// `X_t | X_0` is `X_t | X_s` after `X_s | X_0`.
    #[test]
    fn kernels_compose(sde in any_sde(), u in 0.0..1.0_f64, v in 0.0..1.0_f64) {
        let (s, t) = (u.min(v) * sde.horizon(), u.max(v) * sde.horizon());
        let (a, k, b) = (sde.marginal(s), sde.transition(s, t), sde.marginal(t));
        prop_assert!((a.alpha * k.alpha - b.alpha).abs() <= 1e-13 * b.alpha);
        let var = (k.alpha * a.sigma).powi(2) + k.sigma.powi(2);
        prop_assert!((var - b.sigma * b.sigma).abs() <= 1e-12 * var, "{} {}", var, b.sigma);
    }

    /// `d log alpha / dt = a` and `d sigma^2 / dt = 2 a sigma^2 + g^2`.
    #[test]
    fn coefficients_are_the_derivatives(sde in any_sde(), u in 0.01..0.99_f64) {
        // A hundredth of the way to an end at most, where coefficients may be infinite.
        let (t, h) = (u * sde.horizon(), 1e-5 * u.min(1.0 - u) * sde.horizon());
        let (m, p) = (sde.marginal(t - h), sde.marginal(t + h));
        let a = (p.alpha.ln() - m.alpha.ln()) / (2.0 * h);
        let v = (p.sigma.powi(2) - m.sigma.powi(2)) / (2.0 * h);
        let (a1, g2) = (sde.drift_coef(t), sde.diffusion_squared(t));
        prop_assert!((a - a1).abs() < 1e-7 * (1.0 + a1.abs()), "{} {}", a, a1);
        let v1 = 2.0 * a1 * sde.marginal(t).sigma.powi(2) + g2;
        prop_assert!((v - v1).abs() < 1e-6 * (1.0 + g2 + v1.abs()), "{} {}", v, v1);
    }

    /// The inverse of the log-SNR, through its own definition.
    #[test]
    fn log_snr_inverts(sde in any_sde(), u in 0.0..1.0_f64) {
        let t = (1e-9_f64).powf(u) * sde.horizon();
        let lambda = sde.half_log_snr(t);
        let m = sde.marginal(t);
        prop_assert!((lambda - (m.alpha / m.sigma).ln()).abs() < 1e-12 * (1.0 + lambda.abs()));
        let back = sde.time_of_half_log_snr(lambda).unwrap();
        // A time has a rounding too, and lambda the rate -g^2 / (2 sigma^2).
        let rate = 0.5 * sde.diffusion_squared(t) / (m.sigma * m.sigma);
        let most = 1e-11 * (1.0 + lambda.abs()) + 4.0 * f64::EPSILON * t * rate;
        prop_assert!((sde.half_log_snr(back) - lambda).abs() < most);
    }

    /// A name rebuilds its SDE.
    #[test]
    fn names_parse_back(sde in any_sde(), u in 0.0..1.0_f64) {
        let again = sde::parse(&sde.name()).unwrap();
        prop_assert_eq!(again.name(), sde.name());
        prop_assert_eq!(again.marginal(u * sde.horizon()), sde.marginal(u * sde.horizon()));
    }
}

#[test]
fn inverse_outside_the_horizon_is_refused() {
    for sde in ["ou", "vp", "sub-vp", "ve"].map(|name| sde::parse(name).unwrap()) {
        let low = sde.half_log_snr(sde.horizon()) - 1.0;
        assert!(matches!(sde.time_of_half_log_snr(low), Err(Error::Parameter { .. })));
        assert!(sde.time_of_half_log_snr(f64::NAN).is_err());
    }
    assert!(Ve::default().time_of_half_log_snr(5.0).is_err());
    assert_eq!(Vp::default().time_of_half_log_snr(f64::INFINITY).unwrap(), 0.0);
    assert_eq!(SubVp::default().time_of_half_log_snr(f64::INFINITY).unwrap(), 0.0);
}

#[test]
fn bad_names_and_constants_are_refused() {
    let message = |text: &str| sde::parse(text).expect_err(text).to_string();
    let names = sde::NAMES.join(", ");
    assert_eq!(message("vq"), format!("unknown sde `vq`: expected one of {names}"));
    for name in ["ou", "vp", "sub-vp", "ve", "edm", "brownian", "rectified", "cosine", "discrete"] {
        assert!(sde::NAMES.contains(&name), "{name}");
    }
    assert_eq!(message("vp:beta=1"), "unknown constant `beta`: expected one of beta0, beta1");
    assert_eq!(message("rectified:beta=1"), "beta = 1: there are no constants to give here");
    assert_eq!(message("vp:beta0=1,beta0=2"), "beta0 = 2: is given twice");
    assert_eq!(message("vp:beta0=x"), "beta0 = x: is not a number");
    assert_eq!(message("vp:beta0=-1"), "beta0 = -1: must be finite and positive");
    assert_eq!(message("ve:sigma-max=0.001"), "sigma-max = 0.001: must be above sigma-min = 0.01");
    assert_eq!(message("ou:horizon=inf"), "horizon = inf: must be finite and positive");
    for name in sde::NAMES {
        assert!(sde::parse(name).is_ok());
    }
}

#[test]
fn times_outside_the_horizon_are_refused() {
    let ou = Ou::default();
    for t in [-1e-9, 10.1, f64::NAN, f64::INFINITY] {
        assert!(matches!(sde::check_time(&ou, t), Err(Error::Time { .. })), "{t}");
    }
    // What rounding took past an end is that end.
    for (t, inside) in [(0.0, 0.0), (10.0, 10.0), (10.000_000_000_000_002, 10.0), (-1e-12, 0.0)] {
        assert_eq!(sde::check_time(&ou, t).unwrap(), inside);
    }
}

/// Every SDE there is, tables of betas too.
fn all_sdes() -> Vec<Box<dyn Sde>> {
    let betas = schedule::ddpm_betas(100, 0.1, 20.0);
    let silent = schedule::zero_terminal_snr(&betas);
    let mut all: Vec<Box<dyn Sde>> = sde::NAMES.iter().map(|n| sde::parse(n).unwrap()).collect();
    for betas in [&betas, &silent, &schedule::ddpm_betas(1000, 0.1, 20.0)] {
        for between in [sde::Interpolation::LogRatio, sde::Interpolation::Ratio] {
            all.push(Box::new(Discrete::new(betas).unwrap().with_interpolation(between)));
        }
    }
    all
}

#[test]
fn every_sde_is_what_it_says() {
    for sde in all_sdes() {
        sde::check(&*sde).unwrap();
    }
}

/// An SDE with one thing wrong.
struct Wrong<'a> {
    sde: &'a dyn Sde,
    fault: usize,
}

const FAULTS: [&str; 10] = [
    "d alpha/dt = a alpha",
    "d sigma^2/dt = 2 a sigma^2 + g^2",
    "d sigma^2/dt = 2 a sigma^2 + g^2",
    "the time of lambda",
    "lambda = log(alpha / sigma)",
    "sigma^2 = that of transition(s, t)",
    "prior_std > 0",
    "alpha < infinity",
    "marginal_rate",
    "g^2 = diffusion_squared",
];

impl Wrong<'_> {
    fn of(&self, fault: usize, right: f64, wrong: f64) -> f64 {
        if self.fault == fault { wrong } else { right }
    }
}

impl Sde for Wrong<'_> {
    fn name(&self) -> String {
        "wrong".into()
    }
    fn horizon(&self) -> f64 {
        self.sde.horizon()
    }
    fn drift_coef(&self, t: f64) -> f64 {
        let a = self.sde.drift_coef(t);
        self.of(0, a, a - 1e-3)
    }
    fn diffusion_squared(&self, t: f64) -> f64 {
        let g2 = self.sde.diffusion_squared(t);
        self.of(1, g2, 1.001 * g2)
    }
    fn diffusion(&self, t: f64) -> f64 {
        let g = self.diffusion_squared(t).sqrt();
        self.of(9, g, 1.001 * g)
    }
    fn marginal(&self, t: f64) -> Marginal {
        let Marginal { alpha, sigma } = self.sde.marginal(t);
        // Twice the noise, everywhere or as it grows.
        let grown = self.of(2, sigma, sigma * (1.0 + 1e-3 * t));
        Marginal { alpha: self.of(7, alpha, -alpha.min(0.5)), sigma: grown }
    }
    fn marginal_rate(&self, t: f64) -> Marginal {
        let rate = self.sde.marginal_rate(t);
        Marginal { alpha: rate.alpha, sigma: self.of(8, rate.sigma, rate.sigma + 1e-3) }
    }
    fn transition(&self, s: f64, t: f64) -> Marginal {
        let (a, b) = (self.marginal(s), self.marginal(t));
        let alpha = b.alpha / a.alpha;
        let var = b.sigma * b.sigma - alpha * alpha * a.sigma * a.sigma;
        Marginal { alpha, sigma: self.of(5, var.sqrt(), 1.001 * var.sqrt()) }
    }
    fn half_log_snr(&self, t: f64) -> f64 {
        let m = self.marginal(t);
        let lambda = (m.alpha / m.sigma).ln();
        self.of(4, lambda, lambda + 1e-3)
    }
    fn time_of_half_log_snr(&self, lambda: f64) -> sde_core::Result<f64> {
        if self.fault == 3 {
            return self.sde.time_of_half_log_snr(lambda + 1e-3);
        }
        // Of the marginal as it is, by bisection.
        let (mut low, mut high) = (0.0, self.horizon());
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            let m = self.marginal(middle);
            if (m.alpha / m.sigma).ln() > lambda { low = middle } else { high = middle }
        }
        Ok(low)
    }
    fn prior_std(&self) -> f64 {
        let std = self.sde.prior_std();
        self.of(6, std, f64::INFINITY)
    }
}

#[test]
fn a_wrong_sde_is_caught() {
    for sde in [&Vp::default() as &dyn Sde, &Rectified, &CosineVp, &Ou::new(3.0).unwrap()] {
        let right = Wrong { sde, fault: usize::MAX };
        sde::check(&right).unwrap();
        for (fault, name) in FAULTS.iter().enumerate() {
            let e = sde::check(&Wrong { sde, fault }).unwrap_err();
            let Error::Inconsistent { t, what, found, expected, .. } = &e else { panic!("{e}") };
            assert!(what.contains(name), "fault {fault} of {}: {e}", sde.name());
            let text = e.to_string();
            assert!(text.starts_with("wrong at t = ") && text.contains(what), "{text}");
            assert!((0.0..=sde.horizon()).contains(t) && found != expected, "{text}");
        }
    }
}

/// At `t = T` without signal, against values to 50 digits where they are no round numbers.
#[test]
fn the_end_of_the_signal_is_exact() {
    let table = schedule::zero_terminal_snr(&schedule::ddpm_betas(100, 0.1, 20.0));
    assert_eq!(table[99], 1.0);
    assert!((table[0] - 1e-3).abs() < 1e-15, "the first is kept: {}", table[0]);
    for sde in [&Rectified as &dyn Sde, &CosineVp, &Discrete::new(&table).unwrap()] {
        let end = sde.horizon();
        assert_eq!(sde.marginal(end), Marginal { alpha: 0.0, sigma: 1.0 }, "{}", sde.name());
        assert_eq!(sde.half_log_snr(end), f64::NEG_INFINITY);
        assert_eq!(sde.time_of_half_log_snr(f64::NEG_INFINITY).unwrap(), end);
        assert_eq!(sde.transition(end, end), Marginal { alpha: 1.0, sigma: 0.0 });
        assert_eq!(sde.transition(0.5 * end, end), Marginal { alpha: 0.0, sigma: 1.0 });
        assert!(sde.transition(end, 0.5 * end).sigma.is_nan());
        assert_eq!((sde.drift_coef(end), sde.diffusion(end)), (f64::NEG_INFINITY, f64::INFINITY));
        // The rates are the limits of what they are below.
        let (at, below) = (sde.marginal_rate(end), sde.marginal_rate(end * (1.0 - 1e-9)));
        assert!((at.alpha - below.alpha).abs() < 1e-6 && (at.sigma - below.sigma).abs() < 1e-6);
    }
    assert!(Discrete::new(&[0.1, 1.0, 0.1]).is_err() && Discrete::new(&[0.1, 1.1]).is_err());
    // pi/2 1e-9 and its logarithm.
    let m = CosineVp.marginal(1.0 - 1e-9);
    let t = 1.0 - (1.0 - 1e-9_f64);
    assert!((m.alpha / (t * std::f64::consts::FRAC_PI_2) - 1.0).abs() < 1e-15);
    assert!((CosineVp.half_log_snr(0.5)).abs() < 1e-15);
    assert_eq!(CosineVp.marginal(0.0), Marginal { alpha: 1.0, sigma: 0.0 });
}
