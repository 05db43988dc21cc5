use super::*;
use crate::schedule::{EdmPreconditioning, ddpm_betas, smld_sigmas};
use crate::{Discrete, Edm, Ou, Ve, Vp};

fn read(name: &str) -> Preconditioning {
    name.parse().unwrap()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-13 * b.abs().max(1e-300)
}

/// Table 1 of Karras et al., under their process.
#[test]
fn the_four_columns_of_edm() {
    let sde = Edm::default();
    for s in [0.003_f64, 0.02, 0.5, 1.0, 7.0, 79.0] {
        let edm = EdmPreconditioning { sigma_data: 0.7 };
        let output = Parametrisation::F { sigma_data: 0.7 };
        let c = read("edm:sigma-data=0.7").coefficients(output, &sde, s);
        assert!(close(c.c_in, edm.c_in(s)) && close(c.c_noise, edm.c_noise(s)));
        assert!(close(c.c_skip, edm.c_skip(s)) && close(c.c_out, edm.c_out(s)));

        let c = read("ve").coefficients(Parametrisation::SigmaScore, &sde, s);
        assert_eq!((c.c_in, c.c_skip, c.c_out), (1.0, 1.0, s));
        assert!((c.c_noise - (0.5 * s).ln()).abs() < 1e-15);

        let c = read("vp").coefficients(Parametrisation::Eps, &sde, s);
        let t = ((0.1_f64.powi(2) + 2.0 * 19.9 * (s * s).ln_1p()).sqrt() - 0.1) / 19.9;
        assert_eq!((c.c_skip, c.c_out), (1.0, -s));
        assert!(close(c.c_in, 1.0 / (s * s + 1.0).sqrt()));
        assert!((c.c_noise - 999.0 * t).abs() < 1e-10 * c.c_noise);
    }
}

/// Under VP itself its label is its time.
#[test]
fn labels_of_published_families() {
    let (vp, ve) = (Vp::default(), Ve::default());
    for t in [1e-5, 0.01, 0.4, 1.0] {
        assert!((read("vp").label.at(&vp, t) - 999.0 * t).abs() < 1e-11);
        assert_eq!(read("time").label.at(&vp, t), 999.0 * t);
        let sigma = 0.01_f64 * 5000.0_f64.powf(t);
        assert!((read("log-sigma").label.at(&ve, t) - sigma.ln()).abs() < 1e-14);
        assert!(close(Label::Ratio.at(&ve, t), sigma));
    }
    let discrete = Discrete::new(&ddpm_betas(1000, 0.1, 20.0)).unwrap();
    assert_eq!(read("step").label.at(&discrete, 368.0), 367.0);
    // SMLD counts from the largest level.
    let mut sigmas = smld_sigmas(1000, 0.01, 50.0);
    sigmas.reverse();
    let label = Label::Step { table: NoiseTable::new(sigmas).unwrap(), offset: 0.0 };
    let level = |i: f64| label.at(&ve, (999.0 - i) / 999.0);
    assert_eq!([0.0, 1.0, 500.0, 999.0].map(level), [0.0, 1.0, 500.0, 999.0]);
    // Improved DDPM: 999 at the largest level, -1 without noise.
    let iddpm = read("iddpm").label;
    assert_eq!(iddpm.of_log_ratio(f64::NEG_INFINITY), Some(-1.0));
    assert_eq!(iddpm.of_log_ratio(f64::INFINITY), Some(999.0));
    let sigmas = iddpm_sigmas(1000, 0.001, 0.008);
    assert_eq!(iddpm.of_log_ratio(sigmas[400].ln()), Some(599.0));
}

#[test]
fn the_nearest_level_of_a_table() {
    let up = NoiseTable::new([0.0, 1.0, 3.0, 10.0]).unwrap();
    let down = NoiseTable::new([10.0, 3.0, 1.0, 0.0]).unwrap();
    for ratio in [0.0, 0.3, 0.51, 1.0, 1.9, 2.1, 6.4, 6.6, 10.0, 99.0, f64::INFINITY] {
        let distance = |i: &usize| (up.ratios()[*i] - ratio).abs();
        let nearest = (0..4).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap();
        let expected = if ratio == f64::INFINITY { 3 } else { nearest };
        assert_eq!(up.nearest(ratio), expected, "{ratio}");
        assert_eq!(down.nearest(ratio), 3 - expected, "{ratio}");
    }
    let refused = |r: &[f64]| NoiseTable::new(r).unwrap_err().to_string();
    assert!(refused(&[1.0]).contains("need at least two"));
    assert!(refused(&[0.0, 1.0, 1.0]).contains("noise level 2 = 1"));
    assert!(refused(&[2.0, 1.0, -1.0]).contains("noise level 2 = -1"));
    assert!(refused(&[0.0, f64::NAN]).contains("noise level 1 = NaN"));
}

#[test]
fn rates_are_derivatives() {
    let names = ["none", "time:scale=3", "log-sigma", "edm:sigma-data=0.6", "vp", "ve"];
    let mut all: Vec<_> = names.iter().map(|n| read(n)).collect();
    all.push(Preconditioning { input: InputScale::One, label: Label::Ratio });
    for sde in [&Vp::default() as &dyn Sde, &Ve::default(), &Ou::default(), &Edm::default()] {
        for share in [0.02, 0.3, 0.8] {
            let (t, h) = (share * sde.horizon(), 1e-4 * share * sde.horizon());
            let slope = |f: &dyn Fn(f64) -> f64| {
                let d = |k: f64| f(t + k * h) - f(t - k * h);
                (8.0 * d(1.0) - d(2.0)) / (12.0 * h)
            };
            for p in &all {
                for (found, f) in [
                    (p.label.rate(sde, t), &(|t| p.label.at(sde, t)) as &dyn Fn(f64) -> f64),
                    (p.input.rate(&Level::at(sde, t)), &|t| p.input.at(&Level::at(sde, t))),
                ] {
                    let (expected, size) = (slope(f), f(t).abs() / t);
                    let off = (found - expected).abs();
                    assert!(off <= 1e-8 * (expected.abs() + size), "{p}: {found}, {expected}");
                }
            }
        }
    }
    let step = read("iddpm").label;
    assert_eq!(step.rate(&Edm::default(), 1.0), 0.0);
}

#[test]
fn names_are_read_back() {
    for name in Preconditioning::NAMES {
        let p = read(name);
        assert_eq!(read(&p.to_string()), p, "{name}");
        assert!(p.to_string().starts_with(name));
    }
    // What has no name of its own has one all the same.
    let scales = [InputScale::One, InputScale::Signal, InputScale::Unit { sigma_data: 0.1 / 3.0 }];
    let table = NoiseTable::new(smld_sigmas(40, 0.013, 47.1)).unwrap();
    let labels = [
        Label::Time { scale: -1.5, offset: 0.3 },
        Label::LogRatio { scale: 0.7, unit: 1e-9 },
        Label::Ratio,
        Label::VpTime { beta0: 0.11, beta1: 19.0, scale: 999.5 },
        Label::Step { table, offset: 2.0 },
        Label::Step { table: NoiseTable::iddpm(30, 0.001, 0.008).unwrap(), offset: 0.0 },
    ];
    for (input, label) in scales.iter().flat_map(|i| labels.iter().map(move |l| (i, l))) {
        let p = Preconditioning { input: *input, label: label.clone() };
        assert_eq!(read(&p.to_string()), p);
    }
    let name = "custom:input=unit,0.5,label=log-ratio,0.25,2";
    assert_eq!(read(name).to_string(), name);
    assert_eq!(read("iddpm:steps=50").to_string(), "iddpm:steps=50,c1=0.001,c2=0.008");
    let refused = |text: &str| text.parse::<Preconditioning>().unwrap_err().to_string();
    assert!(refused("karras").contains("unknown preconditioning `karras`: expected one of none"));
    assert!(refused("edm:sigma-data=0").contains("sigma-data = 0"));
    assert!(refused("iddpm:steps=1.5").contains("steps = 1.5"));
    assert!(refused("ve:unit=1").contains("unit"));
    assert_eq!(
        refused("custom:input=unit"),
        "input = unit: is not one of the forms of a custom preconditioning"
    );
    assert_eq!(
        refused("custom:output=one"),
        "unknown constant `output`: expected one of input, label"
    );
    assert_eq!(
        refused("custom:label=table,0,3,3"),
        "noise level 1 = 3: must be finite, not negative and strictly ordered"
    );
}
