//! What a process should do before its first thread starts.

/// Makes the process ready to compute: flushes denormals on this thread, which those it starts
/// inherit on Linux, and tells candle how many threads there are.
///
/// Unless `RAYON_NUM_THREADS` is set, candle 0.11 reads `/proc/cpuinfo` at every matrix product, which
/// takes longer than a product of 80 x 80 matrices. The variable is set here if this is the only
/// thread of the process, which is when that is sound; otherwise it is left alone. Call it first
/// thing in `main`.
pub fn prepare_process() {
    super::flush_denormals();
    const NAME: &str = "RAYON_NUM_THREADS";
    if std::env::var_os(NAME).is_none()
        && alone()
        && let Ok(n) = std::thread::available_parallelism()
    {
        // SAFETY: no other thread exists that could read or write the environment.
        unsafe { std::env::set_var(NAME, n.to_string()) }
    }
}

/// Whether this is the only thread of the process; false where that cannot be told.
fn alone() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1)
}
