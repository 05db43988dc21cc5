//! The page of the main experiment.

use anyhow::Result;
use report::{Sheet, grouped, html};

use super::data::ReportData;
use super::{figures, headline, tables};
use crate::distance::change_note;
use crate::ode_sde_gap::config::{Config, Starts};
use crate::ode_sde_gap::official;
use crate::ode_sde_gap::results::Results;

/// Figures, tables and text, from the files of a run.
///
/// # Errors
/// When a picture cannot be encoded.
pub fn page(config: &Config, data: &ReportData) -> Result<Sheet> {
    let results = &data.results;
    let (title, lead) = headline::headline(results);
    let mut sheet = Sheet::new(title, lead);
    sheet.push(headline::cards(results));
    contrast(&mut sheet, config, results);
    gap(&mut sheet, data);
    distances(&mut sheet, config, data);
    densities(&mut sheet, data)?;
    sheet.section("The residual", html! {
        "How far the learned potential is from solving the Fokker\u{2013}Planck equation, R = \u{2202}" sub { "t" }
        "\u{3c6} + div f + f\u{b7}\u{2207}\u{3c6} \u{2212} \u{bd} g\u{b2} (\u{394}\u{3c6} + |\u{2207}\u{3c6}|\u{b2}), against the distance between ODE and SDE, and against the denoising loss."
    });
    sheet.figure(figures::residual(data), html! {
        "Each mark is a network; the numbers are w" sub { "R" } ". Mean squared residuals on points of p" sub { "t" } " and over the collocation box."
    });
    sheet.table(tables::networks(data));
    training(&mut sheet, config, data);
    trajectories(&mut sheet, data);
    sheet.section("Time", html! { (report::duration(results.total_seconds)) " in all." });
    sheet.figure(figures::timings(data), html! { "Seconds of every network." });
    sheet.section(
        "What differs from the published recipe",
        html! {
            @if data.differences.is_empty() { "Nothing: every constant is the published one." }
        },
    );
    if !data.differences.is_empty() {
        sheet.table(tables::differences(data));
    }
    sheet.push(html! { p class="note" {
        "Deveney, Stanczuk, Kreusser, Budd, Sch\u{f6}nlieb, \u{201c}Closing the ODE\u{2013}SDE gap in score-based diffusion models through the Fokker\u{2013}Planck equation\u{201d}, arXiv 2311.15996; Phil. Trans. R. Soc. A 383:20240503 (2025)."
    } });
    Ok(sheet)
}

/// Whether some of the networks have published figures.
fn published(data: &ReportData) -> bool {
    data.results.rows.iter().any(|r| official::find(&r.dataset, r.w_r).is_some())
}

/// The other recipe, where there is one: the same questions, asked of its networks.
fn contrast(sheet: &mut Sheet, config: &Config, results: &Results) {
    let Some(contrast) = config.contrast.as_ref().filter(|_| !results.contrast.is_empty()) else {
        return;
    };
    let (rows, failed) = (results.contrast.clone(), Vec::new());
    let other = Results { rows, failed, contrast: Vec::new(), ..results.clone() };
    let (title, lead) = headline::headline(&other);
    sheet.section(&format!("For contrast: {}", contrast.name), html! {
        (title) ". " (lead) " Network and training are those of the other recipe; sampling, measuring and the truth are the same. "
        @if headline::comparisons(&other) > 0 { (change_note(headline::comparisons(&other))) }
    });
    sheet.push(headline::cards(&other));
    sheet.table(tables::main_table("contrast", &other));
}

fn gap(sheet: &mut Sheet, data: &ReportData) {
    let r = &data.results;
    sheet.figure(figures::gap(data), html! {
        "Squared W" sub { "2" } " between histograms on " (r.grid) " \u{d7} " (r.grid)
        " nodes, with bars of one standard error. Shaded: the noise floors of this run, what perfect samplers would measure with as many samples; that of two samples is the one for ODE to SDE."
        @if published(data) {
            " Below, the networks published with the paper on the same nodes, from histograms of " (grouped(official::N)) " samples, which have floors of their own."
        }
        @if headline::comparisons(r) > 0 { " " (change_note(headline::comparisons(r))) }
    });
}

fn distances(sheet: &mut Sheet, config: &Config, data: &ReportData) {
    let r = &data.results;
    let n = r.rows.iter().map(|row| row.n).max().unwrap_or(0);
    let spread = config.sampling.starts == Starts::QuasiMonteCarlo;
    sheet.section("Distances", html! {
        @match r.rows.iter().find_map(|row| row.n_ode) {
            Some(ode) => { (grouped(ode)) " samples of the ODE, " (grouped(n)) " of the SDE" },
            None => { (grouped(n)) " samples of each of ODE and SDE" },
        }
        ", " (grouped(r.truth)) " of the truth, dropped outside \u{b1}" (r.half_width) " and counted on " (r.grid) " \u{d7} " (r.grid)
        " nodes; exact optimal transport. Standard errors are those of as many independent samples."
        @if spread { " The starts of the ODE are spread evenly, so that its histogram scatters less than they say." }
        @if published(data) { " In grey beside each figure, the published networks with " (grouped(official::N)) " samples." }
        " The smallest squared W" sub { "2" } " of each set is set in colour."
    });
    sheet.table(tables::main_table("distances", r));
    let draws = r.floors.first().map_or(0, |f| f.w2.pair.values.len());
    sheet.push(html! { p class="note" {
        "Discarded mass is renormalised away before W" sub { "2" } " and TV, as in the paper, so it is stated. The floors put samples of the truth, as large as those of ODE and SDE, in the samplers\u{2019} place: one against the truth, and under ODE\u{2013}SDE two against each other; means of "
        (draws) " random splits."
    } });
    noise_free(sheet, r);
    let cloud = r.rows.iter().map(|row| row.cloud_n).max().unwrap_or(0);
    let script = format!("{:.3}", (4.0 / r.half_width).powi(2));
    sheet.push(html! {
        h3 { "The same distances, counted otherwise" }
        p {
            "The published script binned on \u{b1}3.5 and measured on nodes of [\u{2212}4, 4]\u{b2}, which multiplies squared W" sub { "2" } " by " (script)
            " here. The point clouds drop nothing: exact W" sub { "2" } " and unbiased MMD\u{b2} (Gaussian kernel) of " (grouped(cloud)) " points a side, with the floors that go with so many."
        }
    });
    sheet.table(tables::other_w2(r));
    sheet.table(tables::tv_and_mmd(r));
}

/// Distances of the laws themselves, where they were solved for.
fn noise_free(sheet: &mut Sheet, results: &Results) {
    let Some(table) = tables::noise_free(results) else { return };
    let all = results.rows.iter().filter_map(|row| Some((row, row.noise_free.as_ref()?)));
    let above = all.clone().filter(|(row, found)| row.w2.ode_sde.value > found.ode_sde.upper);
    let (many, above) = (all.count(), above.count());
    sheet.push(html! {
        h3 { "Without samples" }
        p {
            "Squared W" sub { "2" } " of the laws themselves, conditioned on the window: the Fokker\u{2013}Planck equation of the SDE on a grid, the ODE along its paths, a bracket from below and from above. Neither nodes nor steps nor noise of samples are in it; beside it what was sampled, in which they are. Of "
            (many) " networks, " (above) " have a sampled ODE\u{2013}SDE above the upper end."
        }
    });
    sheet.table(table);
}

fn densities(sheet: &mut Sheet, data: &ReportData) -> Result<()> {
    let merged = figures::bins_merged(data);
    sheet.section("Densities", html! {
        "What the SDE and the ODE of each network sample, on one colour scale, and the ODE's density minus the SDE's. The first column shows two independent samples of the target, as large as those of SDE and ODE, and their difference: pure sampling noise. Below it, the mean floor of two such samples; below each other column, the distances of its two samples."
        @if merged > 1 { " Bins are shown " (merged * merged) " at a time, for this number of samples." }
    });
    for dataset in data.results.datasets() {
        sheet.push(html! { h3 { (dataset) } });
        sheet.figure(figures::densities(data, dataset)?, html! {});
    }
    Ok(())
}

fn training(sheet: &mut Sheet, config: &Config, data: &ReportData) {
    if let Some(figure) = figures::losses(data) {
        sheet.section("Training", html! {
            "The denoising loss and the mean squared residual on the collocation points as training goes on (running means). The curve is the loss that was trained, on the batch of each step"
            @if config.training.outlier_weighting.is_some() { ", in which points outside the data count for more" }
            "; the held-out loss in the table above is on " (grouped(config.measuring.dsm_points as u64))
            " points that no step has seen, each counted once, and need not agree with it. At w" sub { "R" } " = 0 the residual is no part of the loss and is not computed."
        });
        sheet.figure(figure, html! {});
    } else if data.results.rows.iter().all(|r| r.train_steps == 0) {
        sheet.section("Training", html! { "None: the networks were given." });
    }
}

fn trajectories(sheet: &mut Sheet, data: &ReportData) {
    let all: Vec<_> = data
        .results
        .datasets()
        .into_iter()
        .filter_map(|dataset| Some((dataset, figures::trajectories(data, dataset)?)))
        .collect();
    if all.is_empty() {
        return;
    }
    sheet.section("Trajectories", html! {
        "First coordinate of a few particles from noise (left) to data (right), from the same starting points; time on a square-root scale. Colours follow the starting points."
    });
    for (dataset, figure) in all {
        sheet.push(html! { h3 { (dataset) } });
        sheet.figure(figure, html! {});
    }
}
