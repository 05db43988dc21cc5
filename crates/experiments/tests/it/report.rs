//! The report, from made-up figures: no network, no sampling.

use experiments::ode_sde_gap::config::Config;
use experiments::ode_sde_gap::report::data::{Cell, Difference, Loss, Paths, ReportData, Truth};
use experiments::ode_sde_gap::report::page;
use experiments::ode_sde_gap::results::{Floor, Floors, Pairs, Results, Row};
use metrics::{Estimate, NoiseFloor};
use ndarray::{Array2, Array3};
use report::{Foot, Head, Sheet};

/// A ring of counts on an 8 x 8 grid, shifted by `shift`.
fn counts(shift: usize) -> Array2<f64> {
    Array2::from_shape_fn((8, 8), |(i, j)| ((i * i + j * (j + shift)) % 11) as f64)
}

/// What network `k`, with the weight `k`, measured.
fn row(dataset: &str, k: usize, gap: f64) -> Row {
    let w_r = k as f64;
    Row {
        dataset: dataset.into(),
        w_r,
        n: 1000,
        w2: pairs([0.02 + 0.01 * w_r, 0.01 + 0.02 * w_r, gap]),
        tv: pairs([0.1, 0.1, 0.2]),
        residual: 3.0 / (1.0 + w_r),
        residual_on_path: 2.0 / (1.0 + w_r),
        dsm_loss: 1.5,
        train_steps: 60,
        train_seconds: 3.0,
        sample_seconds: 2.0,
        measure_seconds: 1.0,
        cloud_n: 100,
        ..Row::default()
    }
}

/// Its samples and losses.
fn cell(dataset: &str, k: usize) -> Cell {
    let times = vec![10.0, 5.0, 1.0, 0.0];
    let paths = Array3::from_shape_fn((4, 3, 2), |(t, p, d)| (t + p) as f64 * 0.3 - d as f64);
    let loss = |s: u64| Loss {
        step: s,
        dsm: 2.0 + 1.0 / s as f64,
        residual: (k > 0).then_some(1.0 / s as f64),
    };
    Cell {
        dataset: dataset.into(),
        w_r: k as f64,
        ode: counts(k),
        sde: counts(k + 1),
        paths: Some(Paths { times, ode: paths.clone(), sde: paths }),
        losses: (1..=30).map(loss).collect(),
    }
}

/// Two data sets, two weights; the gap falls on the first and stays on the second.
fn made_up() -> ReportData {
    let mut data = ReportData {
        results: Results {
            experiment: "ode-sde-gap".into(),
            preset: "smoke".into(),
            hash: "0123456789ab".into(),
            grid: 8,
            half_width: 3.5,
            total_seconds: 75.0,
            ..Results::default()
        },
        differences: vec![Difference {
            key: "training.batch".into(),
            published: "200000".into(),
            here: "256".into(),
        }],
        ..ReportData::default()
    };
    for (dataset, gaps) in [("blob", [0.04, 0.01]), ("checker", [0.020, 0.0201])] {
        for (k, gap) in gaps.into_iter().enumerate() {
            data.results.rows.push(row(dataset, k, gap));
            data.cells.push(cell(dataset, k));
        }
        data.results.floors.push(Floor {
            dataset: dataset.into(),
            w2: Floors { to_truth: floor(0.001), pair: floor(0.002) },
            tv: Floors { to_truth: floor(0.05), pair: floor(0.07) },
            cloud_w2: floor(0.01),
            mmd: floor(0.0),
            ..Floor::default()
        });
        data.truths.push(Truth {
            dataset: dataset.into(),
            first: counts(0),
            second: counts(2),
            third: counts(3),
        });
    }
    data
}

fn sheet(data: &ReportData) -> Sheet {
    page(&Config::preset("smoke").expect("a preset"), data).expect("a page")
}

fn built(data: &ReportData) -> String {
    sheet(data).html(&Head::default(), &Foot::default()).into_string()
}

fn pairs([ode_truth, sde_truth, ode_sde]: [f64; 3]) -> Pairs {
    let at = |value| Estimate { value, standard_error: 0.0005 };
    Pairs { ode_truth: at(ode_truth), sde_truth: at(sde_truth), ode_sde: at(ode_sde) }
}

fn floor(value: f64) -> NoiseFloor {
    NoiseFloor { size: [1000, 1000], values: vec![value; 3] }
}

#[test]
fn the_page_needs_nothing_beside_it() {
    let page = built(&made_up());
    for needle in ["src=\"http", "href=\"http", "url(http", "@import", "<script", "<link"] {
        assert!(!page.contains(needle), "{needle}");
    }
    assert!(page.contains("data:image/png;base64,"));
    assert!(!page.contains("NaN") && !page.contains("inf<"));
    for name in [
        "gap",
        "densities-blob",
        "densities-checker",
        "residual",
        "losses",
        "trajectories-blob",
        "timings",
    ] {
        assert!(page.contains(&format!("<figure id=\"{name}\">")), "{name}");
    }
}

#[test]
fn the_headline_follows_the_numbers() {
    let mut data = made_up();
    let page = built(&data);
    assert!(page.contains("narrows the ODE\u{2013}SDE gap on blob</h1>"), "one set of two");
    assert!(page.contains("stays within the noise on checker"));
    assert!(page.contains("falls from 0.04000 \u{b1} 0.00050 to 0.01000 \u{b1} 0.00050 on blob"));
    assert!(page.contains("The SDE itself moves away from the truth on blob and checker."));
    for row in &mut data.results.rows {
        let gap = if row.w_r == 0.0 { 0.01 } else { 0.05 };
        row.w2 = pairs([0.02, 0.0205 - 0.0005 * row.w_r, gap]);
    }
    let page = built(&data);
    assert!(
        page.contains("widened the ODE\u{2013}SDE gap on blob and checker</h1>"),
        "a gap that grows"
    );
    assert!(!page.contains("moves away from the truth"), "a difference of its error is none");
    for row in &mut data.results.rows {
        row.w2.ode_sde.value = if row.w_r == 0.0 { 0.05 } else { 0.01 };
    }
    // A gap that is still above the floor of two samples has not closed.
    assert!(built(&data).contains("gap narrows as"));
    let floors = data.results.floors.clone();
    data.results.floors.iter_mut().for_each(|f| f.w2.pair = floor(0.011));
    assert!(built(&data).contains("gap closes as"));
    data.results.floors = floors;
    for row in &mut data.results.rows {
        row.w2.ode_sde.standard_error = 0.02;
    }
    assert!(built(&data).contains("no change beyond the noise"), "the same with larger errors");
    assert!(!built(&data).contains("outside the window: of"));
    data.results.rows[1].discarded_sde = 0.31;
    assert!(built(&data).contains("of ODE or SDE up to 31 % on blob at w_R = 1."));
    // A network that failed: the other set alone is compared.
    let all = data.results.rows.clone();
    data.results.rows.retain(|r| r.dataset == "blob" || r.w_r == 0.0);
    let page = built(&data);
    assert!(page.contains("stays within the noise on blob."), "checker is not compared");
    assert!(
        page.contains("With one network alone, nothing to compare: 0.050 \u{b1} 0.020 on checker")
    );
    // One of three weights is missing: the weights that are compared are said.
    data.results.rows = all;
    data.results.rows.push(row("blob", 2, 0.04));
    let page = built(&data);
    assert!(page.contains("on blob and checker (w_R from 0 to 1)."));
    data.results.rows.retain(|r| r.w_r == 0.0);
    assert!(built(&data).contains("How far apart"));
    data.results.rows.clear();
    assert!(built(&data).contains("No network was measured"));
}

#[test]
fn published_figures_stand_beside_ours_in_both_conventions() {
    let page = built(&made_up());
    // blob at w_R = 0: OS .01515 on the nodes of [-4, 4], times (7/8)^2 on the true ones.
    for needle in ["0.0116", "0.0151", "0.2592", "0.04000", "0.05224"] {
        assert!(page.contains(needle), "{needle}");
    }
}

#[test]
fn every_figure_is_svg_and_png_without_a_system_font() {
    let sheet = sheet(&made_up());
    let figures: Vec<_> = sheet.figures().collect();
    assert_eq!(figures.len(), 8);
    for figure in &figures {
        assert!(figure.svg.0.starts_with("<svg xmlns="), "{}", figure.name);
        let png = figure.png().expect("a picture");
        let image = image::load_from_memory(&png).expect("a PNG").to_rgb8();
        assert!(image.width() >= 700, "{}", figure.name);
        let ink = image.pixels().filter(|p| p.0 != [255; 3]).count();
        assert!(
            ink * 100 > (image.width() * image.height()) as usize / 2,
            "{} is blank",
            figure.name
        );
    }
    // Heat maps are in the PNG too: viridis has a yellow that nothing else has.
    let map = figures.iter().find(|f| f.name == "densities-blob").expect("a heat map");
    let image = image::load_from_memory(&map.png().expect("a picture")).expect("a PNG").to_rgb8();
    assert!(image.pixels().filter(|p| p.0 == [253, 231, 37]).count() > 1000);
}

/// Names, commands, facts and configurations are text, whatever is in them.
#[test]
fn nothing_that_is_named_becomes_markup() {
    let evil = "</title></script><script>alert('1')</script>&\"";
    let mut data = made_up();
    let facts = vec![(evil.into(), evil.into())];
    let head = Head { window: evil.into(), kicker: evil.into(), warning: Some(evil.into()) };
    let foot = Foot { repeats: evil.into(), command: evil.into(), facts, config: evil.into() };
    data.differences.push(Difference {
        key: evil.into(),
        published: evil.into(),
        here: evil.into(),
    });
    for row in &mut data.results.rows {
        row.dataset = row.dataset.replace("blob", evil);
    }
    for cell in &mut data.cells {
        cell.dataset = cell.dataset.replace("blob", evil);
    }
    data.results.floors[0].dataset = evil.into();
    data.truths[0].dataset = evil.into();
    let sheet = sheet(&data);
    let page = sheet.html(&head, &foot).into_string();
    assert!(!page.contains("<script") && !page.contains("</script"));
    assert_eq!(page.matches("</title></svg>").count(), 0);
    assert!(page.contains("&lt;script&gt;alert('1')&lt;/script&gt;&amp;&quot;"));
    for figure in sheet.figures() {
        assert!(!figure.svg.0.contains("<script"), "{}", figure.name);
        figure.png().expect("a picture");
    }
}
