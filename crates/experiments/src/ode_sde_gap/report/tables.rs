//! The tables of the report.

use super::data::ReportData;
use super::figures::weight_name;
use crate::ode_sde_gap::official::{self, Official};
use crate::ode_sde_gap::results::{Failed, Row};
use crate::report::html::{Html, html};

/// A figure of a row.
type Pick<T> = fn(&T) -> f64;

/// Squared W2 on the true nodes, TV and discarded mass, each beside the published figure.
pub(crate) fn main_table(data: &ReportData) -> Html {
    let mut html = Html::from(
        "<div class=\"scroll\"><table><thead><tr><th class=\"group\" colspan=\"2\"></th><th class=\"group\" colspan=\"3\">squared W<sub>2</sub>, true nodes</th><th class=\"group\" colspan=\"3\">total variation</th><th class=\"group\" colspan=\"2\">discarded, %</th></tr>\
         <tr><th class=\"l\">data</th><th>w<sub>R</sub></th><th>ODE\u{2013}truth</th><th>SDE\u{2013}truth</th><th>ODE\u{2013}SDE</th><th>ODE\u{2013}truth</th><th>SDE\u{2013}truth</th><th>ODE\u{2013}SDE</th><th>ODE</th><th>SDE</th></tr></thead>\n",
    );
    for dataset in data.results.datasets() {
        let rows = data.results.rows_of(dataset);
        let best =
            |pick: fn(&Row) -> f64| rows.iter().map(|r| pick(r)).fold(f64::INFINITY, f64::min);
        html.push("<tbody class=\"set\">\n");
        for (k, row) in rows.iter().enumerate() {
            let o = official::find(dataset, row.w_r).map(|o| o.on_true_nodes());
            html.push(html!("<tr>{}", lead(k, dataset, row.w_r)));
            let w2: [(Pick<Row>, Pick<Official>); 3] = [
                (|r| r.ode_truth, |o| o.ode_truth),
                (|r| r.sde_truth, |o| o.sde_truth),
                (|r| r.ode_sde, |o| o.ode_sde),
            ];
            for (here, there) in w2 {
                html.push(pair(
                    here(row),
                    o.as_ref().map(there),
                    4,
                    rows.len() > 1 && here(row) == best(here),
                ));
            }
            let tv: [(Pick<Row>, Pick<Official>); 3] = [
                (|r| r.tv_ode_truth, |o| o.tv_ode_truth),
                (|r| r.tv_sde_truth, |o| o.tv_sde_truth),
                (|r| r.tv_ode_sde, |o| o.tv_ode_sde),
            ];
            for (here, there) in tv {
                html.push(pair(here(row), o.as_ref().map(there), 3, false));
            }
            html.push(pair(
                100.0 * row.discarded_ode,
                o.map(|o| 100.0 * o.discarded_ode),
                2,
                false,
            ));
            html.push(pair(
                100.0 * row.discarded_sde,
                o.map(|o| 100.0 * o.discarded_sde),
                2,
                false,
            ));
            html.push("</tr>\n");
        }
        if let Some(f) = data.results.floor_of(dataset) {
            html.push(html!(
                "<tr class=\"floor\"><td></td><td>floor</td><td colspan=\"2\" style=\"text-align:center\">truth to truth {:.4}</td><td>{:.4}</td><td colspan=\"3\" style=\"text-align:center\">truth to truth {:.3}</td><td colspan=\"2\" style=\"text-align:center\">truth {:.2}</td></tr>\n",
                f.w2,
                f.w2_pair,
                f.tv,
                100.0 * f.discarded
            ));
        }
        html.push("</tbody>\n");
    }
    html.push(failures(data));
    html.push("</table></div>\n");
    html
}

/// The networks without figures, each with the reason in their place.
fn failures(data: &ReportData) -> Html {
    let row = |failed: &Failed| {
        html!(
            "<tbody class=\"set\"><tr class=\"failed\">{}<td class=\"wrap\" colspan=\"8\">no figures: {}</td></tr></tbody>\n",
            lead(0, &failed.dataset, failed.w_r),
            failed.reason
        )
    };
    data.results.failed.iter().map(row).collect()
}

/// The published node convention, point clouds with nothing dropped, MMD^2.
pub(crate) fn other_distances(data: &ReportData) -> Html {
    let script = (4.0 / data.results.half_width).powi(2);
    let mut html = Html::from(
        "<div class=\"scroll\"><table><thead><tr><th class=\"group\" colspan=\"2\"></th><th class=\"group\" colspan=\"3\">squared W<sub>2</sub>, nodes of [\u{2212}4, 4]\u{b2}</th><th class=\"group\" colspan=\"3\">squared W<sub>2</sub>, point clouds</th><th class=\"group\" colspan=\"3\">MMD\u{b2} \u{d7} 1000</th></tr>\
         <tr><th class=\"l\">data</th><th>w<sub>R</sub></th>",
    );
    for _ in 0..3 {
        html.push("<th>ODE\u{2013}truth</th><th>SDE\u{2013}truth</th><th>ODE\u{2013}SDE</th>");
    }
    html.push("</tr></thead>\n");
    for dataset in data.results.datasets() {
        html.push("<tbody class=\"set\">\n");
        for (k, r) in data.results.rows_of(dataset).iter().enumerate() {
            let o = official::find(dataset, r.w_r);
            html.push(html!("<tr>{}", lead(k, dataset, r.w_r)));
            html.push(pair(script * r.ode_truth, o.map(|o| o.ode_truth), 4, false));
            html.push(pair(script * r.sde_truth, o.map(|o| o.sde_truth), 4, false));
            html.push(pair(script * r.ode_sde, o.map(|o| o.ode_sde), 4, false));
            for v in [r.cloud_ode_truth, r.cloud_sde_truth, r.cloud_ode_sde] {
                html.push(html!("<td>{:.4}</td>", v));
            }
            for v in [r.mmd_ode_truth, r.mmd_sde_truth, r.mmd_ode_sde] {
                html.push(html!("<td>{}</td>", minus(format!("{:.3}", 1000.0 * v))));
            }
            html.push("</tr>\n");
        }
        if let Some(f) = data.results.floor_of(dataset) {
            html.push(html!(
                "<tr class=\"floor\"><td></td><td>floor</td><td colspan=\"2\" style=\"text-align:center\">truth to truth {:.4}</td><td>{:.4}</td><td colspan=\"3\" style=\"text-align:center\">truth to truth {:.4}</td><td colspan=\"3\" style=\"text-align:center\">truth to truth {}</td></tr>\n",
                script * f.w2,
                script * f.w2_pair,
                f.cloud_w2,
                minus(format!("{:.3}", 1000.0 * f.mmd))
            ));
        }
        html.push("</tbody>\n");
    }
    html.push("</table></div>\n");
    html
}

/// Residuals, denoising loss and training of every network.
pub(crate) fn networks(data: &ReportData) -> Html {
    let mut html = Html::from(
        "<div class=\"scroll\"><table><thead><tr><th class=\"l\">data</th><th>w<sub>R</sub></th><th>mean R\u{b2}, box</th><th>mean R\u{b2}, on p<sub>t</sub></th><th>held-out DSM loss</th><th>training steps</th><th>training, s</th><th>sampling, s</th><th>measuring, s</th></tr></thead>\n",
    );
    for dataset in data.results.datasets() {
        html.push("<tbody class=\"set\">\n");
        for (k, r) in data.results.rows_of(dataset).iter().enumerate() {
            let steps = if r.train_steps == 0 { "given".into() } else { grouped(r.train_steps) };
            html.push(html!(
                "<tr>{}<td>{}</td><td>{}</td><td>{:.4}</td><td>{}</td><td>{:.1}</td><td>{:.1}</td><td>{:.1}</td></tr>\n",
                lead(k, dataset, r.w_r),
                significant(r.residual),
                significant(r.residual_on_path),
                r.dsm_loss,
                steps,
                r.train_seconds,
                r.sample_seconds,
                r.measure_seconds
            ));
        }
        html.push("</tbody>\n");
    }
    html.push("</table></div>\n");
    html
}

/// A whole number with thin spaces between the thousands.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (k, c) in digits.chars().enumerate() {
        if k > 0 && (digits.len() - k).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    out
}

fn lead(k: usize, dataset: &str, w_r: f64) -> Html {
    let name = if k == 0 { dataset } else { "" };
    html!("<td class=\"l name\">{}</td><td>{}</td>", name, weight_name(w_r))
}

fn pair(here: f64, published: Option<f64>, digits: usize, best: bool) -> Html {
    let shown = |v: f64| format!("{v:.digits$}");
    let here = if best { html!("<b>{}</b>", shown(here)) } else { html!("{}", shown(here)) };
    match published {
        Some(p) => html!("<td>{}<span class=\"pub\">{}</span></td>", here, shown(p)),
        None => html!("<td>{}</td>", here),
    }
}

fn significant(v: f64) -> String {
    if v == 0.0 || (1e-3..1e4).contains(&v.abs()) {
        let digits = if v.abs() >= 100.0 { 1 } else { 4 };
        format!("{v:.digits$}")
    } else {
        minus(format!("{v:.2e}"))
    }
}

fn minus(s: String) -> String {
    s.replace('-', "\u{2212}")
}
