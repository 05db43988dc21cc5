//! The machine, in words.

use score_nets::fused::Isa;
use serde::Serialize;

/// What a figure means nothing without.
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

    pub(crate) fn in_words(&self, threads: u16) -> String {
        let Self { cpu, cores, isa } = self;
        let plural = if threads == 1 { "" } else { "s" };
        format!("{cpu}, {cores} cores, {isa}; {threads} thread{plural}")
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

/// A line of the kernel's account of this process, in KiB; none where there is no such account.
pub(crate) fn status(key: &str) -> Option<u64> {
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
    fn the_account_is_read() {
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
