//! Progress on standard error: bars with the time left on a terminal, a few lines elsewhere.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The bars of a run: one for all of it, one for what is being done.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bars: MultiProgress,
    all: ProgressBar,
    plan: Arc<Mutex<Plan>>,
    terminal: bool,
}

/// What is to be done, by kinds of work that each go at a speed of their own.
#[derive(Debug, Default)]
struct Plan {
    kinds: BTreeMap<&'static str, Kind>,
    /// When something was last said, where nobody sees the bar.
    said: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    total: f64,
    done: f64,
    /// What of it was done by this process, and how long that took.
    timed: f64,
    seconds: f64,
}

impl Plan {
    fn share(&self) -> f64 {
        let sum = |of: fn(&Kind) -> f64| self.kinds.values().map(of).sum::<f64>();
        sum(|k| k.done) / sum(|k| k.total).max(f64::MIN_POSITIVE)
    }

    /// What is left of each kind at the speed it has had; a kind that was not timed goes at the speed of
    /// all others.
    fn seconds_left(&self) -> Option<f64> {
        let timed: f64 = self.kinds.values().map(|k| k.timed).sum();
        let seconds: f64 = self.kinds.values().map(|k| k.seconds).sum();
        let left = |k: &Kind| {
            let unit = if k.timed > 0.0 { k.seconds / k.timed } else { seconds / timed };
            (k.total - k.done).max(0.0) * unit
        };
        (timed > 0.0).then(|| self.kinds.values().map(left).sum())
    }
}

/// Positions of the bar of a whole run.
const LENGTH: u64 = 1000;

/// Between two lines about a long part, where nobody sees the bar.
const SILENCE: Duration = Duration::from_secs(60);

impl Progress {
    /// Bars for a run that has been worked on for so many seconds before.
    pub(crate) fn new(before: f64) -> Self {
        let bars = MultiProgress::new();
        let all = ProgressBar::new(LENGTH).with_elapsed(Duration::from_secs_f64(before.max(0.0)));
        let all = bars.add(all);
        all.set_style(style("{prefix:>24.bold} {elapsed_precise}"));
        all.set_prefix("all");
        let terminal = std::io::stderr().is_terminal();
        if terminal {
            all.enable_steady_tick(Duration::from_millis(500));
        }
        Self { bars, all, plan: Arc::default(), terminal }
    }

    /// Plans work of a kind, in units in which the kinds are about equally fast; `done` of them an
    /// earlier process has done.
    pub(crate) fn plan(&self, kind: &'static str, total: f64, done: f64) {
        self.all.set_style(style(
            "{prefix:>24.bold} {bar:32.cyan/black.dim} {percent:>3} %  {elapsed_precise}  {msg}",
        ));
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = plan.kinds.entry(kind).or_default();
        (entry.total, entry.done) = (entry.total + total, entry.done + done);
        self.all.set_position((plan.share() * LENGTH as f64) as u64);
    }

    /// So much of a planned kind was done by an earlier process, as its files say.
    pub(crate) fn resumed(&self, kind: &'static str, units: f64) {
        self.did(kind, units, None);
    }

    /// A bar for one part of `len` steps, `done` of them by an earlier process, each worth `units` of work of
    /// a kind.
    pub(crate) fn part(
        &self,
        name: &str,
        kind: &'static str,
        (len, done): (u64, u64),
        units: f64,
    ) -> Part {
        let bar = self.bars.add(ProgressBar::new(len).with_position(done));
        bar.set_style(style("{prefix:>24} {bar:32.green/black.dim} {pos}/{len}  {msg}"));
        bar.set_prefix(name.to_string());
        Part { progress: self.clone(), bar, kind, units, last: Instant::now() }
    }

    /// So much of a kind is done, and how long it took where this process did it; hands back a line about all
    /// that is planned, if this kind is.
    fn did(&self, kind: &'static str, units: f64, seconds: Option<f64>) -> Option<String> {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = plan.kinds.get_mut(kind)?;
        entry.done += units;
        if let Some(seconds) = seconds {
            (entry.timed, entry.seconds) = (entry.timed + units, entry.seconds + seconds);
        }
        self.all.set_position((plan.share() * LENGTH as f64) as u64);
        let left = report::duration(plan.seconds_left()?);
        self.all.set_message(format!("about {left} left"));
        Some(format!("{:.0} %, about {left} left", 100.0 * plan.share()))
    }

    /// A line now and then, where nobody sees the bars.
    fn remark(&self, line: impl FnOnce() -> String) {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.terminal && plan.said.get_or_insert_with(Instant::now).elapsed() > SILENCE {
            plan.said = Some(Instant::now());
            let _ = writeln!(std::io::stderr(), "{}", line());
        }
    }

    /// A line for people.
    pub(crate) fn say(&self, line: &str) {
        if self.terminal {
            let _ = self.bars.println(line);
        } else {
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    /// Takes the bars away.
    pub(crate) fn clear(&self) {
        self.all.finish_and_clear();
        let _ = self.bars.clear();
    }
}

/// The bar of one part.
#[derive(Debug)]
pub(crate) struct Part {
    progress: Progress,
    bar: ProgressBar,
    kind: &'static str,
    units: f64,
    last: Instant,
}

impl Part {
    /// `steps` more are done.
    pub(crate) fn advance(&mut self, steps: u64) {
        self.bar.inc(steps);
        let seconds = self.last.elapsed().as_secs_f64();
        self.last = Instant::now();
        let all = self.progress.did(self.kind, steps as f64 * self.units, Some(seconds));
        let (name, at) = (self.bar.prefix(), self.bar.position());
        self.progress.remark(|| {
            let of = self.bar.length().unwrap_or(at);
            format!("{name}: {at} of {of}{}", all.map_or(String::new(), |all| format!("; {all}")))
        });
    }

    /// A remark beside the bar.
    pub(crate) fn note(&self, text: String) {
        self.bar.set_message(text);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━━─")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Training at 10 units a second, sampling at 1000: the time left is the sum of both, whichever is
    /// being done, and what an earlier process did counts as done without a speed.
    #[test]
    fn the_time_left_knows_the_speed_of_each_kind() {
        let progress = Progress::new(60.0);
        progress.plan("train", 300.0, 0.0);
        progress.resumed("train", 100.0);
        progress.plan("sample", 3000.0, 0.0);
        let left = || progress.plan.lock().expect("a plan").seconds_left();
        assert_eq!(left(), None);
        progress.did("train", 100.0, Some(10.0));
        // Sampling at the only speed that is known.
        assert_eq!(left(), Some(10.0 + 300.0));
        progress.did("sample", 1000.0, Some(1.0));
        assert_eq!(left(), Some(10.0 + 2.0));
        progress.did("train", 100.0, Some(10.0));
        assert_eq!(left(), Some(2.0));
        assert_eq!(progress.did("unplanned", 1.0, Some(1.0)), None);
        let share = progress.plan.lock().expect("a plan").share();
        assert!((share - 1300.0 / 3300.0).abs() < 1e-12, "{share}");
    }
}
