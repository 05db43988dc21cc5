//! What a process should do before its first thread starts.

/// Makes the process ready to compute: flushes denormals on this thread, which those it starts
/// inherit on Linux, tells candle how many threads there are, and has mimalloc keep freed memory.
///
/// With the feature `mimalloc`, for programs whose allocator that is: arrays of a training step are freed
/// and allocated again within milliseconds. Memory that was given back to the system comes back page by
/// page, cleared, which takes longer than a U-Net's whole step; the process keeps its largest size instead.
///
/// Unless `RAYON_NUM_THREADS` is set, candle 0.11 reads `/proc/cpuinfo` at every matrix product, which
/// takes longer than a product of 80 x 80 matrices. Variable and option are set here if this is the only
/// thread of the process, which is when that is sound; otherwise they are left alone. Call it first
/// thing in `main`.
pub fn prepare_process() {
    super::flush_denormals();
    if !alone() {
        return;
    }
    #[cfg(feature = "mimalloc")]
    mimalloc::keep_freed_memory();
    const NAME: &str = "RAYON_NUM_THREADS";
    if std::env::var_os(NAME).is_none()
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

#[cfg(feature = "mimalloc")]
mod mimalloc {
    use libmimalloc_sys::{mi_option_set, mi_option_t};

    /// `mi_option_purge_delay` of mimalloc 2 and 3: milliseconds after which freed memory goes back, -1 for never.
    pub(super) const PURGE_DELAY: mi_option_t = 15;

    pub(super) fn keep_freed_memory() {
        // SAFETY: the option exists, and no other thread does.
        unsafe { mi_option_set(PURGE_DELAY, -1) }
    }

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: the option exists.
        let default = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        // Of mimalloc 2 and 3, in milliseconds.
        assert!([10, 1000].contains(&default), "{default}");
    }
}
