//! The tiles of the processor: configured when a product first needs them, released when a thread is
//! through with a run of products.

use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    static STATE: Cell<State> = const { Cell::new(State { users: 0, rows: 0 }) };
}

/// What this thread knows of its tiles.
#[derive(Clone, Copy)]
struct State {
    /// Values of [`Tiles`] that are alive.
    users: usize,
    /// Rows that the tiles of `A` and `C` are configured for; 0 where they are not.
    rows: u8,
}

/// While this lives the tiles stay configured: that takes as long as a twelfth of a product.
///
/// Nothing but the kernels of this crate uses tiles on this thread meanwhile.
pub(in crate::fused) struct Tiles(PhantomData<*const ()>);

impl Tiles {
    /// (Costs nothing where no product needs a tile.)
    pub(in crate::fused) fn keep() -> Self {
        let state = STATE.get();
        STATE.set(State { users: state.users + 1, ..state });
        Self(PhantomData)
    }

    /// Has them ready for matrices `A` and `C` of so many rows, at least one.
    ///
    /// # Safety
    /// AMX is available.
    #[cfg(target_arch = "x86_64")]
    pub(super) unsafe fn configure(&self, rows: usize) {
        let (state, rows) = (STATE.get(), rows.min(16) as u8);
        if state.rows != rows {
            // SAFETY: the caller has checked the processor.
            unsafe { Config::of(rows).load() };
            STATE.set(State { rows, ..state });
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        let state = STATE.get();
        let users = state.users - 1;
        if users > 0 || state.rows == 0 {
            STATE.set(State { users, ..state });
            return;
        }
        #[cfg(target_arch = "x86_64")]
        // SAFETY: AMX is available, or there would be no rows.
        unsafe {
            std::arch::asm!("tilerelease", options(nostack, preserves_flags, nomem));
        }
        STATE.set(State { users, rows: 0 });
    }
}

/// The shape of the eight tiles: rows of 64 bytes, 16 of them in `B`, as many as there are in `A` and
/// `C`: fewer take less time.
#[cfg(target_arch = "x86_64")]
#[repr(C, align(64))]
struct Config([u8; 64]);

#[cfg(target_arch = "x86_64")]
impl Config {
    fn of(rows: u8) -> Self {
        let mut bytes = [0; 64];
        bytes[0] = 1; // the palette
        for tile in 0..8 {
            bytes[16 + 2 * tile] = 64; // bytes of a row
            bytes[48 + tile] = if tile < 6 { rows } else { 16 };
        }
        Self(bytes)
    }

    /// # Safety
    /// AMX is available.
    unsafe fn load(&self) {
        let at = &raw const self.0;
        // SAFETY: reads 64 bytes; the caller has checked the processor, and nothing in this process
        // keeps anything in the tiles across calls.
        unsafe {
            std::arch::asm!("ldtilecfg [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
        }
    }
}
