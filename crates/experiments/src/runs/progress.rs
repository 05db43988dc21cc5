//! Progress on standard error: bars with the time left on a terminal, a few lines elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The bars of a run: one for all of it, one for what is being done.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bars: MultiProgress,
    all: ProgressBar,
    terminal: bool,
}

impl Progress {
    /// Bars for `total` units of work, `done` of which an earlier session has done.
    pub(crate) fn new(total: u64, done: u64) -> Self {
        let bars = MultiProgress::new();
        let all = bars.add(ProgressBar::new(total).with_position(done));
        all.set_style(style("{prefix:>24.bold} {bar:32.cyan/black.dim} {percent:>3} %  {elapsed_precise}, {eta_precise} left"));
        all.set_prefix("all");
        all.reset_eta();
        let terminal = std::io::stderr().is_terminal();
        if terminal {
            all.enable_steady_tick(Duration::from_millis(500));
        }
        Self { bars, all, terminal }
    }

    /// A bar for one part of `len` steps, each worth `units` of the whole.
    pub(crate) fn part(&self, name: &str, len: u64, done: u64, units: f64) -> Part {
        let bar = self.bars.add(ProgressBar::new(len).with_position(done));
        bar.set_style(style("{prefix:>24} {bar:32.green/black.dim} {pos}/{len}  {msg}"));
        bar.set_prefix(name.to_string());
        let said = (!self.terminal).then(Instant::now);
        Part { all: self.all.clone(), bar, units, owed: 0.0, said }
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
    all: ProgressBar,
    bar: ProgressBar,
    units: f64,
    owed: f64,
    /// When something was last said, where nobody sees the bar.
    said: Option<Instant>,
}

/// Between two lines about a long part, where nobody sees the bar.
const SILENCE: Duration = Duration::from_secs(60);

impl Part {
    /// `steps` more are done.
    pub(crate) fn advance(&mut self, steps: u64) {
        self.bar.inc(steps);
        self.owed += steps as f64 * self.units;
        let whole = self.owed.floor();
        self.all.inc(whole as u64);
        self.owed -= whole;
        if let Some(said) = &mut self.said
            && said.elapsed() > SILENCE
        {
            *said = Instant::now();
            let (name, at, of) = (self.bar.prefix(), self.bar.position(), self.bar.length());
            let (of, left) = (of.unwrap_or(at), self.bar.eta().as_secs_f64());
            let left = report::duration(left);
            let _ = writeln!(std::io::stderr(), "{name}: {at} of {of}, {left} left");
        }
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
