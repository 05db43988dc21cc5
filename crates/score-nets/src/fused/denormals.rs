//! Flushing denormal numbers to zero.

/// Flushes denormal numbers to zero on the calling thread, from here on.
///
/// On x86-64 it sets the bits FTZ and DAZ of the control register MXCSR; elsewhere it does nothing.
/// Activations with a sharp corner, such as softplus with beta = 100, produce denormals by the
/// million, and arithmetic with them is up to a hundred times slower. The setting belongs to the
/// thread: call this at the start of `main`, before threads are made (they inherit it on Linux), or
/// give it to a pool as its start handler. The kernels of this module switch it on for themselves
/// and back, so that what they return does not depend on the thread they run on.
///
/// ```
/// score_nets::fused::flush_denormals();
/// let tiny = std::hint::black_box(f32::MIN_POSITIVE);
/// let half = tiny * std::hint::black_box(0.5);
/// assert!(half == 0.0 || !cfg!(target_arch = "x86_64"));
/// ```
///
/// As a start handler: `rayon::ThreadPoolBuilder::new().start_handler(|_| flush_denormals())`.
pub fn flush_denormals() {
    std::mem::forget(Flushed::new());
}

/// Denormals are flushed while this lives; the setting before is put back afterwards.
pub(super) struct Flushed {
    #[cfg(target_arch = "x86_64")]
    before: u32,
}

#[cfg(target_arch = "x86_64")]
impl Flushed {
    pub(super) fn new() -> Self {
        const FTZ_DAZ: u32 = 1 << 15 | 1 << 6;
        let before = read();
        if before & FTZ_DAZ != FTZ_DAZ {
            write(before | FTZ_DAZ);
        }
        Self { before }
    }
}

#[cfg(target_arch = "x86_64")]
impl Drop for Flushed {
    fn drop(&mut self) {
        if read() != self.before {
            write(self.before);
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn read() -> u32 {
    let mut value = 0u32;
    // SAFETY: stores the control register to a local.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut value, options(nostack)) }
    value
}

#[cfg(target_arch = "x86_64")]
fn write(value: u32) {
    // SAFETY: loads the control register from a local; only the treatment of denormals is ever
    // changed, rounding and exceptions stay as they are.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack)) }
}

#[cfg(not(target_arch = "x86_64"))]
impl Flushed {
    pub(super) fn new() -> Self {
        Self {}
    }
}
