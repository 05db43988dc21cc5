//! ctrl-c: the first asks for an orderly end, the second ends at once.

use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);

/// The flag that ctrl-c (or a termination signal) raises; installs the handler on first use.
pub(crate) fn stop_flag() -> &'static AtomicBool {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        // Without a handler the process simply ends; the last checkpoint is then what remains.
        let _ = ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
            let _ = writeln!(
                std::io::stderr(),
                "\nfinishing the step and writing a checkpoint (ctrl-c again: stop at once)"
            );
        });
    });
    &STOP
}
