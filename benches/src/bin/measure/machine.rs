//! The machine, and the memory that work takes on it.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use score_nets::fused::Isa;
use serde::Serialize;

use crate::workload::Task;

/// Without this a figure means nothing.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    isa: String,
}

impl Machine {
    pub(crate) fn here() -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self {
            cpu: cpu(&info).unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            isa: Isa::detect().to_string(),
        }
    }

    pub(crate) fn in_words(&self) -> String {
        format!("{}, {} cores, {}", self.cpu, self.cores, self.isa)
    }
}

/// The model of the first processor, with the numbers that tell apart those of one name.
fn cpu(info: &str) -> Option<String> {
    let field = |name: &str| {
        let mut lines = info.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
    };
    let name = field("model name")?;
    Some(match (field("cpu family"), field("model")) {
        (Some(family), Some(model)) => format!("{name} (family {family}, model {model})"),
        _ => name.to_owned(),
    })
}

/// The peak of the resident memory while a task is done, above what the process held before; none where
/// the kernel does not tell.
pub(crate) fn peak_kib(task: &mut Task) -> Result<Option<u64>> {
    // Building the inputs may have needed more: the kernel forgets that peak here.
    if std::fs::write("/proc/self/clear_refs", "5").is_err() {
        return Ok(None);
    }
    let before = status("VmRSS");
    (0..task.memory_runs).try_for_each(|_| (task.run)())?;
    Ok(status("VmHWM").zip(before).map(|(peak, before)| peak.saturating_sub(before)))
}

/// The peak of an item in a new process of this program, started with the same options.
pub(crate) fn peak_of_its_own(item: &str) -> Result<Option<u64>> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let done = Command::new(program)
        .args(std::env::args_os().skip(1))
        .args(["--memory", item])
        .output()
        .with_context(|| format!("cannot start a process for {item}"))?;
    let message = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{item}: {}", message.trim_end());
    serde_json::from_slice(&done.stdout).with_context(|| format!("{item}: not an answer"))
}

/// A line of `/proc/self/status`, in KiB.
fn status(key: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    field(&text, key)
}

fn field(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read() {
        let text = "Name:\tmeasure\nVmHWM:\t  123 kB\nVmRSS:\t   45 kB\n";
        assert_eq!((field(text, "VmHWM"), field(text, "VmRSS")), (Some(123), Some(45)));
        assert_eq!(field(text, "Vm"), None);
    }

    #[test]
    fn the_processor_has_a_name() {
        let info = "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n\n\
                    processor\t: 1\nmodel name\t: other\n";
        assert_eq!(cpu(info).as_deref(), Some("AMD EPYC (family 25, model 17)"));
        assert_eq!(cpu("model name : X").as_deref(), Some("X"));
        assert_eq!(cpu(""), None);
    }
}
