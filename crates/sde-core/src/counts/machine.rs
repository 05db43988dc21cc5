//! How much memory this process can still have.

use std::fs::read_to_string;
use std::path::Path;

/// Bytes, as far as Linux says: what is free or can be freed (with swap), within the limits on the
/// address space, the data and the control groups of this process. Where nothing is said, what the
/// allocator would hand out is all that is known, and there is no bound.
pub(super) fn free() -> f64 {
    let file = |path: &str| read_to_string(path).unwrap_or_default();
    let (memory, own) = (file("/proc/meminfo"), file("/proc/self/status"));
    let used = |name: &str| kilobytes(&own, name).unwrap_or(0.0);
    let machine = kilobytes(&memory, "MemAvailable:").or(kilobytes(&memory, "MemTotal:"));
    let swap = kilobytes(&memory, "SwapFree:").unwrap_or(0.0);
    let limits = file("/proc/self/limits");
    let groups = group_limit(&file("/proc/self/cgroup"), Path::new("/sys/fs/cgroup"));
    [
        machine.map(|m| m + swap),
        soft_limit(&limits, "Max address space").map(|l| l - used("VmSize:")),
        soft_limit(&limits, "Max data size").map(|l| l - used("VmData:")),
        groups.map(|l| l - used("VmRSS:")),
    ]
    .into_iter()
    .flatten()
    .fold(f64::INFINITY, f64::min)
    .max(0.0)
}

/// The bytes of a line `Name:   123 kB`.
fn kilobytes(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|k| 1024.0 * k)
}

/// The soft limit of a line `Name   soft   hard   unit`; none where it is unlimited.
fn soft_limit(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The least limit of a process's control groups and of those above them, version 2 or 1.
fn group_limit(groups: &str, root: &Path) -> Option<f64> {
    let mut least: Option<f64> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(kind), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (top, name) = match kind {
            "" => (root.to_path_buf(), "memory.max"),
            k if k.split(',').any(|k| k == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // In a container the path may be one outside of it: then the top is all there is to see.
        let own = top.join(path.trim_start_matches('/'));
        for folder in own.ancestors().take_while(|folder| folder.starts_with(&top)) {
            let limit = read_to_string(folder.join(name)).ok();
            if let Some(limit) = limit.and_then(|text| text.trim().parse::<f64>().ok()) {
                least = Some(least.map_or(limit, |l| l.min(limit)));
            }
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_linux_are_read() {
        let status = "Name:\tx\nVmSize:\t  2048 kB\nVmRSS:\t 12 kB\n";
        assert_eq!(kilobytes(status, "VmSize:"), Some(2_097_152.0));
        assert_eq!(kilobytes(status, "VmSwap:"), None);
        let limits = "Limit       Soft Limit  Hard Limit  Units\n\
                      Max data size       unlimited   unlimited   bytes\n\
                      Max address space   8192000000  unlimited   bytes\n";
        assert_eq!(soft_limit(limits, "Max address space"), Some(8_192_000_000.0));
        assert_eq!(soft_limit(limits, "Max data size"), None);
    }

    #[test]
    fn the_least_limit_of_all_groups_counts() {
        let dir = std::env::temp_dir().join(format!("groups-{}", std::process::id()));
        let inner = dir.join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::write(dir.join("memory.max"), "max\n").unwrap();
        std::fs::write(dir.join("a/memory.max"), "3000\n").unwrap();
        std::fs::write(inner.join("memory.max"), "5000\n").unwrap();
        assert_eq!(group_limit("0::/a/b\n", &dir), Some(3000.0));
        assert_eq!(group_limit("0::/\n", &dir), None);
        assert_eq!(group_limit("", &dir), None);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
