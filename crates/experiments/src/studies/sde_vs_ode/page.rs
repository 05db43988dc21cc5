//! The page of `sde-vs-ode`.

use anyhow::Result;
use metrics::{Change, Estimate};
use ndarray::Array2;
use report::{
    Axis, Dots, Figure, Grid, INK, Line, Map, Mark, Panel, Sheet, Table, heat_png, html, list,
};

use super::{Config, Length, PARTICLES, Paths, Results, Snapshot};
use crate::distance::{self, Distance, FLOOR, ODE, PAIR, SDE, said};
use crate::studies::target::{on_square, root_png};

/// How far the drawings reach.
const REACH: f64 = 3.2;
/// Particles drawn in the plane: more would hide each other.
const SHOWN: usize = 5;
/// Colour of the split sampler.
const SPLIT: &str = "#7c3aed";

/// A sampler by name, and its distance to the truth.
type Sampler = (&'static str, fn(&Snapshot) -> Option<Estimate>);
static SAMPLERS: [Sampler; 3] =
    [("the ODE", |l| l.ode), ("the SDE", |l| l.sde), ("the split sampler", |l| l.split)];

pub(super) fn page(config: &Config, results: &Results) -> Result<Sheet> {
    let mut sheet = Sheet::new(
        "Smooth and zigzag: the two samplers of one score",
        html! {
            "The reverse SDE and the probability-flow ODE of one exact score, from the same starts: their paths, and how far their samples are from p" sub { "t" } ". "
            (right_start(results)) " " (wrong_start(results))
        },
    );
    sheet.section(
        "Trajectories",
        html! {
            "The same " (config.paths) " starting points under both samplers, " (config.steps)
            " equal steps; ODE by Heun\u{2019}s method, SDE by Euler-Maruyama."
        },
    );
    sheet.figure(line(config, &results.line)?, html! {
        "On a line. Background: the density p" sub { "t" } "(x), each time scaled to its own maximum (dark 0, bright 1). White: particles. Noise (t = T) is on the left, data on the right."
    });
    sheet.figure(plane(config, &results.plane)?, html! {
        "In the plane. Background: the density at the end, p" sub { "t" } " at the smallest t. Rings: where particles start at t = T; discs: where they end. The same starting point has the same colour in both panels"
        @if config.paths > SHOWN { "; the first " (SHOWN) " of them" } "."
    });
    sheet.section("How long is a path?", html! {
        (growth(&results.lengths)) " A Brownian path grows with the root of the number of steps, by "
        (report::digits(steps_factor(&results.lengths).sqrt())) " here; a smooth one not at all. Mean over "
        (PARTICLES) " particles on the line."
    });
    sheet.figure(
        lengths(&results.lengths),
        html! {
            "Mean length of a path against the number of steps, both axes logarithmic."
        },
    );
    sheet.section("The SDE as ODE and Langevin steps", html! {
        "Each step of the SDE is split into a step of the flow ODE and one of Langevin dynamics at the time reached. In the limit of small steps the split sampler has the law of the SDE, also where that is not p" sub { "t" } ": on the right all particles start from a wrong law, N(" (config.wrong_mean) ", " (config.wrong_std) "\u{b2}) in each coordinate. Samplers have noise of their own. "
        (config.n) " particles, squared W" sub { "2" } " on " (config.window.about()) "; target " (config.target) ". "
        (split(results))
    });
    sheet.figure(law(results), html! {
        "Squared W" sub { "2" } " over time, bars of one standard error. Grey: the floor, what a sample of p" sub { "t" } " of this size has to p" sub { "t" } ". The distance of SDE and split is one of two samples, with a floor of its own in the table."
    });
    sheet.table(table(results));
    Ok(sheet)
}

/// Which samplers end above their floor from the right start.
fn right_start(results: &Results) -> String {
    let Some(last) = results.right.last() else { return String::new() };
    if let Some(reason) = distance::unmeasured(&last.floor) {
        return format!("From the right start: {reason}");
    }
    let above: Vec<String> = SAMPLERS
        .iter()
        .filter_map(|(name, of)| Some((name, of(last)?)))
        .filter(|(_, found)| distance::above(*found, &last.floor))
        .map(|(name, found)| format!("{name} ({})", said(found)))
        .collect();
    let floor = report::maybe(distance::floor_line(&last.floor));
    let (stayed, gone): (Vec<&Sampler>, Vec<&Sampler>) =
        SAMPLERS.iter().partition(|(_, of)| of(last).is_some());
    let mut found = match (above.len(), stayed.len()) {
        (_, 0) => return "From the right start every sampler left the window.".into(),
        (0, 3) => format!("all three end within their noise floor ({floor})"),
        (0, k) => {
            format!("{} end{} within the noise floor ({floor})", list(&names(&stayed)), plural(k))
        }
        (k, _) => format!("{} end{} above the noise floor ({floor})", list(&above), plural(k)),
    };
    if !gone.is_empty() {
        found += &format!("; {} left the window", list(&names(&gone)));
    }
    format!("From the right start {found}.")
}

fn names(samplers: &[&Sampler]) -> Vec<&'static str> {
    samplers.iter().map(|s| s.0).collect()
}

/// `s` after one, nothing after several.
fn plural(count: usize) -> &'static str {
    if count == 1 { "s" } else { "" }
}

/// What becomes of a wrong start on the way.
fn wrong_start(results: &Results) -> String {
    let (Some(first), Some(last)) = (results.wrong.first(), results.wrong.last()) else {
        return String::new();
    };
    let found = SAMPLERS.iter().filter_map(|(name, of)| {
        let (from, to) = (of(first)?, of(last)?);
        let item = format!("{name} ({} to {})", said(from), said(to));
        Some((distance::change(from, to, SAMPLERS.len()), item))
    });
    let verbs = [
        (Change::Falls, "shrinks under"),
        (Change::Holds, "shows no change under"),
        (Change::Rises, "grows under"),
    ];
    let parts = distance::by_change(verbs, &found.collect::<Vec<_>>());
    if parts.is_empty() {
        return "From the wrong start no distance could be followed to the end.".into();
    }
    let lost = |(_, of): &&Sampler| of(first).is_none() || of(last).is_none();
    let lost: Vec<&Sampler> = SAMPLERS.iter().filter(lost).collect();
    let rest = if lost.is_empty() {
        String::new()
    } else {
        format!(" It could not be followed under {}.", list(&names(&lost)))
    };
    format!("From the wrong start the distance to the truth {}.{rest}", list(&parts))
}

/// At how many times SDE and split sampler can be told apart.
fn split(results: &Results) -> String {
    let pairs: Vec<&Distance> =
        results.right.iter().chain(&results.wrong).filter_map(|l| l.sde_split.as_ref()).collect();
    let samplers = distance::change_note(SAMPLERS.len());
    if pairs.is_empty() {
        return format!("SDE and split could be compared at no time. {samplers}");
    }
    let apart = pairs.iter().filter(|d| distance::above(d.found, &d.floor)).count();
    let note = pairs.first().map(|d| distance::above_note(&d.floor)).unwrap_or_default();
    let found = match apart {
        0 => "at none of them can they be told apart".into(),
        k => format!("at {k} of them they are further apart than any draw of their floor"),
    };
    format!("SDE and split are compared at {} times: {found}. {note} {samplers}", pairs.len())
}

/// The lengths at the fewest and at the most steps.
fn extremes(lengths: &[Length]) -> Option<(&Length, &Length)> {
    lengths.iter().min_by_key(|l| l.steps).zip(lengths.iter().max_by_key(|l| l.steps))
}

/// What the number of steps grows by.
fn steps_factor(lengths: &[Length]) -> f64 {
    extremes(lengths).map_or(f64::NAN, |(a, b)| b.steps as f64 / a.steps as f64)
}

fn growth(lengths: &[Length]) -> String {
    let Some((first, last)) = extremes(lengths) else { return String::new() };
    format!(
        "From {} to {} steps the path of the SDE grows by the factor {}, that of the ODE by {}.",
        first.steps,
        last.steps,
        report::digits(last.sde / first.sde),
        report::digits(last.ode / first.ode)
    )
}

fn line(config: &Config, paths: &Paths) -> Result<Figure> {
    let mixture = config.line.mixture()?;
    let score = mixture.under(&*config.sde);
    let (horizon, end) = (paths.times[0], paths.times[paths.times.len() - 1]);
    let (w, h) = (240, 160);
    let at = |i: usize| -REACH + 2.0 * REACH * (i as f64 + 0.5) / h as f64;
    let xs = Array2::from_shape_fn((h, 1), |(i, _)| at(i));
    let mut heat = Array2::zeros((h, w));
    for (j, mut column) in heat.columns_mut().into_iter().enumerate() {
        let t = horizon + (end - horizon) * (j as f64 + 0.5) / w as f64;
        let log = score.log_density(&xs, t)?;
        let top = log.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        column.iter_mut().zip(log).for_each(|(to, l)| *to = (l - top).exp());
    }
    let picture = heat_png(heat.view(), Map::Sequential, 0.0, 1.15)?;
    let mut across = Axis::linear(0.0, horizon, "time t").reversed();
    across.hi = end;
    across.ticks.retain(|(v, _)| *v >= end - 1e-9 || *v == 0.0);
    let panel = |name: &str, states: &[Vec<Vec<f64>>]| {
        let panel = Panel::new(across.clone(), Axis::around_zero(REACH, "x"))
            .title(name)
            .picture(picture.clone(), "density");
        (0..states[0].len()).fold(panel, |panel, p| {
            let points: Vec<_> =
                paths.times.iter().zip(states).map(|(t, x)| (*t, x[p][0])).collect();
            let shadow = Line { opacity: 0.35, ..Line::plain(INK, 2.4, points.clone()) };
            panel.line(shadow).line(Line::plain("#ffffff", 1.15, points))
        })
    };
    let panels = vec![panel("SDE", &paths.sde), panel("ODE", &paths.ode)];
    let label = "Trajectories of SDE and ODE on a line over the density";
    Ok(Grid::row(panels).figure("trajectories-line", label))
}

fn plane(config: &Config, paths: &Paths) -> Result<Figure> {
    const COLOURS: [&str; SHOWN] = ["#ffffff", "#fb7185", "#fbbf24", "#a3e635", "#67e8f9"];
    let mixture = config.plane.mixture()?;
    let score = mixture.under(&*config.sde);
    let end = paths.times[paths.times.len() - 1];
    let picture = root_png(on_square(&|x| Ok(score.log_density(x, end)?), REACH, 120)?)?;
    let panel = |name: &str, states: &[Vec<Vec<f64>>]| {
        let mut panel =
            Panel::plane(REACH, ["x_{1}", "x_{2}"]).title(name).picture(picture.clone(), "density");
        for (p, colour) in COLOURS.iter().enumerate().take(states[0].len()) {
            let points: Vec<_> = states.iter().map(|x| (x[p][0], x[p][1])).collect();
            let end = |at: usize, fill: &str, outline: &str, tip: &str| Dots {
                outline: outline.into(),
                ..Dots::marks(Mark::Disc, fill, vec![points[at]], vec![tip.into()])
            };
            let (start, last) =
                (end(0, INK, colour, "start"), end(points.len() - 1, colour, INK, "end"));
            panel = panel.line(Line::plain(colour, 1.2, points.clone())).dots(start).dots(last);
        }
        panel
    };
    let panels = vec![panel("SDE", &paths.sde), panel("ODE", &paths.ode)];
    let label = "Trajectories of SDE and ODE in the plane over the density";
    Ok(Grid::row(panels).square(450.0).figure("trajectories-plane", label))
}

fn lengths(lengths: &[Length]) -> Figure {
    let of = |f: fn(&Length) -> f64| lengths.iter().map(|l| (l.steps as f64, f(l))).collect();
    let (ode, sde): (Vec<_>, Vec<_>) = (of(|l| l.ode), of(|l| l.sde));
    let mut across = Axis::log_around(ode.iter().map(|p| p.0), "steps");
    across.ticks = lengths.iter().map(|l| (l.steps as f64, l.steps.to_string())).collect();
    let up = Axis::log_around(ode.iter().chain(&sde).map(|p| p.1), "mean length of a path");
    let panel =
        Panel::new(across, up).line(Line::new("SDE", SDE, sde)).line(Line::new("ODE", ODE, ode));
    let grid = Grid::row(vec![panel]).width(620.0).height(260.0);
    grid.figure("lengths", "Mean length of paths against the number of steps")
}

fn law(results: &Results) -> Figure {
    let all = results.right.iter().chain(&results.wrong);
    let found = |l: &Snapshot| [l.ode, l.sde, l.split, l.sde_split.as_ref().map(|pair| pair.found)];
    let floors = all.clone().map(|l| &l.floor);
    let up = distance::axis(all.flat_map(found), floors, "squared W_{2}");
    let horizon = results.right.first().map_or(1.0, |l| l.t);
    let across = Axis { lo: 1.02 * horizon, ..Axis::linear(0.0, horizon, "time t").reversed() };
    let panel = |title: &str, snapshots: &[Snapshot]| {
        let line = |name: &str, colour: &str, of: &dyn Fn(&Snapshot) -> Option<Estimate>| {
            distance::line(name, colour, snapshots.iter().map(|l| (l.t, of(l))))
        };
        let floor = snapshots.iter().filter_map(|l| Some((l.t, distance::floor_line(&l.floor)?)));
        let split = line("split to truth", SPLIT, &|l| l.split);
        let pair = line("SDE to split", PAIR, &|l| Some(l.sde_split.as_ref()?.found));
        Panel::new(across.clone(), up.clone())
            .title(title)
            .band(floor.collect(), FLOOR, "noise floor")
            .line(line("ODE to truth", ODE, &|l| l.ode))
            .line(line("SDE to truth", SDE, &|l| l.sde))
            .line(Line { mark: Some(Mark::Square), dash: "5 4", ..split })
            .line(Line { mark: Some(Mark::Triangle), dash: "2 4", ..pair })
    };
    let panels =
        vec![panel("Right start: p_{T}", &results.right), panel("Wrong start", &results.wrong)];
    Grid::row(panels).figure("law", "Squared W2 of ODE, SDE and split sampler over time")
}

fn table(results: &Results) -> Table {
    let found = |pair: &Option<Distance>| distance::cell(pair.as_ref().map(|d| d.found));
    let floor = |pair: &Option<Distance>| {
        pair.as_ref().map_or(report::DASH.into(), |d| distance::floor_cell(&d.floor))
    };
    let starts = [("right", &results.right), ("wrong", &results.wrong)].into_iter();
    let last: Vec<(&str, &Snapshot)> =
        starts.filter_map(|(name, snapshots)| Some((name, snapshots.last()?))).collect();
    Table::of("law", 1, &last)
        .column("start", |(name, _)| *name)
        .column("ODE to truth", |(_, l)| distance::cell(l.ode))
        .column("SDE to truth", |(_, l)| distance::cell(l.sde))
        .column("split to truth", |(_, l)| distance::cell(l.split))
        .column("floor", |(_, l)| distance::floor_cell(&l.floor))
        .column("SDE to split", |(_, l)| found(&l.sde_split))
        .column("floor", |(_, l)| floor(&l.sde_split))
        .column("ODE to SDE", |(_, l)| found(&l.ode_sde))
        .column("floor", |(_, l)| floor(&l.ode_sde))
        .caption(html! {
        "Squared W" sub { "2" } " at the end, with standard errors; \u{2014}: more than 5 % of a sample outside the window. The first floor is that of a sample of the truth against the truth, the others those of two samples: the two thrown together and split at random."
    })
}

#[cfg(test)]
mod tests {
    use metrics::NoiseFloor;

    use super::*;

    fn snapshot(ode: f64, sde: f64, pair: f64) -> Snapshot {
        let at = |value| Estimate { value, standard_error: 0.01 };
        let floor = NoiseFloor { size: [9, 9], values: vec![0.06, 0.07, 0.08] };
        let pair = Some(Distance { found: at(pair), floor: floor.clone() });
        let [ode, sde, split] = [ode, sde, sde].map(|v| Some(at(v)));
        Snapshot { t: 1.0, ode, sde, split, floor, sde_split: pair.clone(), ode_sde: pair }
    }

    /// Made-up results and what is said of them: the opposite where the numbers are the opposite.
    #[test]
    fn sentences_follow_the_numbers() {
        let results = |right: Snapshot, wrong: [Snapshot; 2]| Results {
            line: Paths::default(),
            plane: Paths::default(),
            lengths: vec![
                Length { steps: 10, ode: 2.0, sde: 3.0 },
                Length { steps: 40, ode: 2.0, sde: 6.0 },
            ],
            right: vec![right],
            wrong: wrong.into(),
        };
        let usual = results(
            snapshot(0.07, 0.07, 0.05),
            [snapshot(1.0, 1.0, 0.05), snapshot(1.0, 0.3, 0.05)],
        );
        assert_eq!(
            right_start(&usual),
            "From the right start all three end within their noise floor (0.0700)."
        );
        let said = wrong_start(&usual);
        assert!(said.contains("shrinks under the SDE (1.000 \u{b1} 0.010 to 0.300"), "{said}");
        assert!(said.contains("shows no change under the ODE"), "{said}");
        assert!(split(&usual).contains("at none of them"));
        assert!(
            growth(&usual.lengths)
                .contains("SDE grows by the factor 2.00, that of the ODE by 1.00")
        );

        let other =
            results(snapshot(0.09, 0.07, 0.2), [snapshot(1.0, 0.3, 0.2), snapshot(0.2, 1.0, 0.2)]);
        let said = right_start(&other);
        assert!(said.contains("the ODE (0.090 \u{b1} 0.010) ends above the noise floor"), "{said}");
        let said = wrong_start(&other);
        assert!(
            said.contains("shrinks under the ODE") && said.contains("grows under the SDE"),
            "{said}"
        );
        assert!(split(&other).contains("at 3 of them they are further apart"));
    }

    /// Samplers that left the window are named, and nothing is said of what could not be measured.
    #[test]
    fn sentences_name_what_was_not_measured() {
        let results = |right: Snapshot, last: Snapshot| Results {
            line: Paths::default(),
            plane: Paths::default(),
            lengths: Vec::new(),
            right: vec![right],
            wrong: vec![snapshot(1.0, 1.0, 0.05), last],
        };
        let no_sde = || Snapshot { sde: None, sde_split: None, ..snapshot(0.07, 0.07, 0.05) };
        let said = right_start(&results(no_sde(), no_sde()));
        assert!(said.contains("the ODE and the split sampler end within"), "{said}");
        assert!(said.ends_with("; the SDE left the window."), "{said}");
        let said = wrong_start(&results(no_sde(), no_sde()));
        assert!(said.ends_with("It could not be followed under the SDE."), "{said}");
        let none = || Snapshot { ode: None, split: None, ..no_sde() };
        let said = right_start(&results(none(), none()));
        assert!(said.contains("every sampler left") && !said.contains("within"), "{said}");
        // A truth outside the window is not a sampler that left it.
        let outside = Snapshot { floor: NoiseFloor::default(), ..none() };
        let of = results(outside, none());
        let said = right_start(&of);
        assert!(said.contains("No distance to the truth") && !said.contains("sampler"), "{said}");
        let mut apart = of;
        apart.wrong.clear();
        let said = split(&apart);
        assert!(said.contains("at no time") && !said.contains("told apart"), "{said}");
        // Lengths in any order.
        let at = |steps, sde| Length { steps, ode: 2.0, sde };
        let said = growth(&[at(40, 6.0), at(10, 3.0)]);
        assert!(said.starts_with("From 10 to 40 steps") && said.contains("factor 2.00"), "{said}");
    }
}
