//! Signals that ask the process to end (ctrl-c, termination, a terminal that closes): files that are
//! being written are removed. Work that can be taken up again comes to an orderly end first.

use std::io::Write as _;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use score_nets::atomic::remove_all;

static STOP: AtomicBool = AtomicBool::new(false);
static CHECKPOINT: AtomicBool = AtomicBool::new(false);
static ORDERLY: AtomicBool = AtomicBool::new(false);
/// The signal that raised [`STOP`].
static SEEN: AtomicI32 = AtomicI32::new(INTERRUPT);

const INTERRUPT: i32 = 2;

/// Watches for signals from now on.
pub(crate) fn watch() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(install);
}

/// The flag that the first signal raises instead of ending the process; the second one ends it.
pub(crate) fn stop_flag() -> &'static AtomicBool {
    watch();
    ORDERLY.store(true, Ordering::SeqCst);
    &STOP
}

/// Whether SIGUSR1 asked for a checkpoint since the last call.
pub(crate) fn checkpoint_asked() -> bool {
    CHECKPOINT.swap(false, Ordering::SeqCst)
}

/// The exit code after an orderly end: as if the signal had ended the process.
pub(crate) fn exit_code() -> u8 {
    code(SEEN.load(Ordering::SeqCst)) as u8
}

fn code(signal: i32) -> i32 {
    128 + signal
}

fn asked(signal: i32) {
    if ORDERLY.load(Ordering::SeqCst) && !STOP.swap(true, Ordering::SeqCst) {
        SEEN.store(signal, Ordering::SeqCst);
        let _ = writeln!(
            std::io::stderr(),
            "\nfinishing the step and writing a checkpoint (ctrl-c again: stop at once)"
        );
        return;
    }
    let _nothing_is_written = remove_all();
    std::process::exit(code(signal));
}

/// Without a handler the process simply ends.
#[cfg(unix)]
fn install() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    // Batch systems announce the end of a job by SIGTERM, SIGUSR1 or SIGUSR2, as the user has asked them to.
    let mut wanted = vec![SIGINT, SIGTERM, SIGUSR1, SIGUSR2];
    if !hangups_are_ignored() {
        wanted.push(SIGHUP);
    }
    let Ok(mut signals) = signal_hook::iterator::Signals::new(wanted) else { return };
    let watcher = std::thread::Builder::new().name("signals".into());
    let _ = watcher.spawn(move || {
        signals.forever().for_each(|signal| match signal {
            SIGUSR1 => CHECKPOINT.store(true, Ordering::SeqCst),
            signal => asked(signal),
        });
    });
}

/// Whether `nohup` started this process: it goes on when its terminal closes.
#[cfg(unix)]
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok()).is_some_and(|m| m & 1 == 1)
}

#[cfg(not(unix))]
fn install() {
    let _ = ctrlc::set_handler(|| asked(INTERRUPT));
}
