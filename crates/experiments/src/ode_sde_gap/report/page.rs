//! The page itself: one HTML file that needs nothing beside it.

use super::data::ReportData;
use super::tables::grouped;
use super::{headline, tables};
use crate::ode_sde_gap::official;
use crate::report::Figure;
use crate::report::html::{Html, html};
use crate::report::page;
use crate::report::sheet::{Block, Sheet};

/// The page; `figures` are placed by name.
pub(crate) fn sheet(data: &ReportData, figures: &[Figure]) -> Sheet {
    let r = &data.results;
    let (title, lead) = headline::headline(r);
    let n = r.rows.iter().map(|row| row.n).max().unwrap_or(0);
    let mut page = Page { figures, sheet: Sheet { title, lead, ..Sheet::default() } };
    page.push(headline::cards(r));
    page.figure(
        "gap",
        "Squared W<sub>2</sub> between 64-node histograms. Solid: this run. Dotted: the networks published with the paper, on the same nodes. Shaded: what a perfect sampler would measure with as many samples.",
    );
    page.distances(data, n);
    page.densities(data, r.rows.iter().map(|row| row.n_ode.unwrap_or(row.n)).min().unwrap_or(0));
    page.residual(data);
    page.training(data);
    page.trajectories(data);
    page.timings(data);
    page.recipe(data);
    page.sheet
}

struct Page<'a> {
    figures: &'a [Figure],
    sheet: Sheet,
}

impl Page<'_> {
    fn push(&mut self, html: impl Into<Html>) {
        self.sheet.blocks.push(Block::Html(html.into()));
    }

    fn figure(&mut self, name: &str, caption: impl Into<Html>) {
        if let Some(f) = self.figures.iter().find(|f| f.name == name) {
            self.sheet.figure(f.clone(), caption);
        }
    }

    fn has(&self, prefix: &str) -> bool {
        self.figures.iter().any(|f| f.name.starts_with(prefix))
    }

    fn section(&mut self, title: &str, text: impl Into<Html>) {
        self.sheet.section(title, text);
    }

    fn distances(&mut self, data: &ReportData, n: u64) {
        let r = &data.results;
        let text = html!(
            "{}, {} of the truth, dropped outside \u{b1}{} and counted on {} \u{d7} {} nodes; exact optimal transport. In grey beside each figure, the published networks with {} samples. The smallest squared W<sub>2</sub> of each set is set in colour.",
            match r.rows.iter().find_map(|row| row.n_ode) {
                Some(ode) => {
                    format!("{} samples of the ODE, {} of the SDE", grouped(ode), grouped(n))
                }
                None => format!("{} samples of each of ODE and SDE", grouped(n)),
            },
            grouped(r.truth),
            r.half_width,
            r.grid,
            r.grid,
            grouped(official::N)
        );
        self.section("Distances", text);
        self.push(tables::main_table(data));
        self.push(
            "<p class=\"note\">Discarded mass is renormalised away before W<sub>2</sub> and TV, here as in the paper, so it is stated. The floor row puts independent samples of the truth, as large as that of the SDE, in the samplers\u{2019} place: it is what perfect samplers would measure (a mean over several draws; under ODE\u{2013}SDE, two such samples against each other). Evenly spread starts give the ODE less noise than that. With fewer samples than in the paper every figure is larger by about its floor.</p>\n",
        );
        let cloud = r.rows.iter().map(|row| row.cloud_n).max().unwrap_or(0);
        self.push(html!(
            "<h3>The same distances, counted otherwise</h3>\n<p>The published script binned on \u{b1}3.5 and measured on nodes of [\u{2212}4, 4]\u{b2}, which multiplies squared W<sub>2</sub> by (8/7)\u{b2}. The point clouds drop nothing: exact W<sub>2</sub> and unbiased MMD\u{b2} (Gaussian kernel) of {} points a side, with the larger floor that goes with fewer points.</p>\n",
            grouped(cloud)
        ));
        self.push(tables::other_distances(data));
    }

    fn densities(&mut self, data: &ReportData, n: u64) {
        let text = html!(
            "What the SDE and the ODE of each network sample, on one colour scale, and the ODE's density minus the SDE's. The first column shows two independent samples of the target, the second as large as those of the samplers, and, below, what their difference looks like: pure sampling noise. {}",
            if n < 100_000 {
                "Bins are shown four at a time, for this number of samples."
            } else {
                ""
            }
        );
        self.section("Densities", text);
        for dataset in data.results.datasets() {
            self.push(html!("<h3>{}</h3>\n", dataset));
            self.figure(&format!("densities-{dataset}"), "");
        }
    }

    fn residual(&mut self, data: &ReportData) {
        self.section(
            "The residual",
            "How far the learned potential is from solving the Fokker\u{2013}Planck equation, R = \u{2202}<sub>t</sub>\u{3c6} + div f + f\u{b7}\u{2207}\u{3c6} \u{2212} \u{bd} g\u{b2} (\u{394}\u{3c6} + |\u{2207}\u{3c6}|\u{b2}), against the distance between ODE and SDE, and against the denoising loss that is paid for it.",
        );
        self.push("<div class=\"pair\">\n");
        self.figure("residual-w2", "");
        self.figure("residual-dsm", "");
        self.push("</div>\n");
        self.push(tables::networks(data));
    }

    fn training(&mut self, data: &ReportData) {
        if self.has("losses") {
            self.section(
                "Training",
                "The denoising loss and the mean squared residual on the collocation points as training goes on (running means). At w<sub>R</sub> = 0 the residual is no part of the loss and is not computed.",
            );
            self.figure("losses", "");
        } else if data.results.rows.iter().all(|r| r.train_steps == 0) {
            self.section("Training", "None: the networks were given.");
        }
    }

    fn trajectories(&mut self, data: &ReportData) {
        if !self.has("trajectories") {
            return;
        }
        self.section(
            "Trajectories",
            "First coordinate of a few particles from noise (left) to data (right), from the same starting points; time on a square-root scale. Colours follow the starting points.",
        );
        for dataset in data.results.datasets() {
            self.push(html!("<h3>{}</h3>\n", dataset));
            self.figure(&format!("trajectories-{dataset}"), "");
        }
    }

    fn timings(&mut self, data: &ReportData) {
        let total = data.results.total_seconds;
        self.section("Time", html!("{} in all.", page::duration(total)));
        self.figure("timings", "");
    }

    fn recipe(&mut self, data: &ReportData) {
        let same = data.differences.is_empty();
        let text = if same { "Nothing: every constant is the published one." } else { "" };
        self.section("What differs from the published recipe", text);
        if !same {
            self.push("<div class=\"scroll\"><table><thead><tr><th class=\"l\">setting</th><th class=\"l\">published</th><th class=\"l\">this run</th></tr></thead><tbody>\n");
            for d in &data.differences {
                self.push(html!(
                    "<tr><td class=\"l\"><code>{}</code></td><td class=\"wrap\">{}</td><td class=\"wrap\">{}</td></tr>\n",
                    d.key,
                    d.published,
                    d.here
                ));
            }
            self.push("</tbody></table></div>\n");
        }
        self.push(
            "<p class=\"note\">Deveney, Stanczuk, Kreusser, Budd, Sch\u{f6}nlieb, \u{201c}Closing the ODE\u{2013}SDE gap in score-based diffusion models through the Fokker\u{2013}Planck equation\u{201d}, arXiv 2311.15996; Phil. Trans. R. Soc. A 383:20240503 (2025).</p>\n",
        );
    }
}
