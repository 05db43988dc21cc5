//! The inner loop: rows of tiles times a column of tiles, added to tiles of f32.

use super::pack::Depth;
use std::arch::asm;

/// Rows of tiles that are multiplied at once: as many sums as hide the time of one product.
pub(super) const GROUP: usize = 3;

/// `C = init + A B` for up to [`GROUP`] tiles of `C` below each other.
///
/// For each whole tile of depth `a` and `b` are three tiles: the pieces `l m h` of `A` and `h m l` of
/// `B`. For the half one they are `[l m] [m h] [h h]` and `[h h] [m m] [l h]`.
#[derive(Clone, Copy)]
pub(super) struct Multiply {
    /// The pieces of the first sixteen rows; those of the next follow.
    pub(super) a: *const u8,
    pub(super) b: *const u8,
    pub(super) depth: Depth,
    pub(super) init: *const f32,
    /// Numbers between two rows of `init`, 0 where all are the same.
    pub(super) ldi: usize,
    pub(super) c: *mut f32,
    pub(super) ldc: usize,
}

/// The instructions for the tiles of `C` named first: `A` in tiles 3 to 5, `B` in 6 and 7.
macro_rules! group {
    ($self:ident; $($t:literal $a:literal $p:ident),*) => {{
        let Multiply { a, b, depth, init, ldi, c, ldc } = $self;
        let mut next = a;
        $(
            let $p = next;
            next = next.wrapping_add(depth.bytes());
        )*
        let _ = next;
        asm!(
            $(
                concat!("tileloadd tmm", $t, ", [{init} + {ldi}]"),
                "lea {init}, [{init} + 8 * {ldi}]",
                "lea {init}, [{init} + 8 * {ldi}]",
            )*
            "test {whole}, {whole}",
            "jz 3f",
            "2:",
            "tileloadd tmm6, [{b} + {row}]",
            $(concat!("tileloadd tmm", $a, ", [{", stringify!($p), "} + {row}]"),)*
            $(concat!("tdpbf16ps tmm", $t, ", tmm", $a, ", tmm6"),)*
            $(concat!("tileloadd tmm", $a, ", [{", stringify!($p), "} + {row} + 1024]"),)*
            "tileloadd tmm7, [{b} + {row} + 1024]",
            $(concat!("tdpbf16ps tmm", $t, ", tmm", $a, ", tmm6"),)*
            $(concat!("tdpbf16ps tmm", $t, ", tmm", $a, ", tmm7"),)*
            $(concat!("tileloadd tmm", $a, ", [{", stringify!($p), "} + {row} + 2048]"),)*
            $(concat!("tdpbf16ps tmm", $t, ", tmm", $a, ", tmm7"),)*
            "tileloadd tmm7, [{b} + {row} + 2048]",
            $(concat!("add {", stringify!($p), "}, 3072"),)*
            "add {b}, 3072",
            $(concat!("tdpbf16ps tmm", $t, ", tmm", $a, ", tmm7"),)*
            $(concat!("tdpbf16ps tmm", $t, ", tmm", $a, ", tmm6"),)*
            "dec {whole}",
            "jnz 2b",
            "3:",
            "test {half}, {half}",
            "jz 4f",
            "tileloadd tmm6, [{b} + {row}]",
            $(concat!("tileloadd tmm", $a, ", [{", stringify!($p), "} + {row}]"),)*
            $(concat!("tdpbf16ps tmm", $t, ", tmm", $a, ", tmm6"),)*
            "tileloadd tmm7, [{b} + {row} + 1024]",
            $(concat!("tileloadd tmm", $a, ", [{", stringify!($p), "} + {row} + 1024]"),)*
            $(concat!("tdpbf16ps tmm", $t, ", tmm", $a, ", tmm7"),)*
            "tileloadd tmm6, [{b} + {row} + 2048]",
            $(concat!("tileloadd tmm", $a, ", [{", stringify!($p), "} + {row} + 2048]"),)*
            $(concat!("tdpbf16ps tmm", $t, ", tmm", $a, ", tmm6"),)*
            "4:",
            $(
                concat!("tilestored [{c} + {ldc}], tmm", $t),
                "lea {c}, [{c} + 8 * {ldc}]",
                "lea {c}, [{c} + 8 * {ldc}]",
            )*
            $($p = inout(reg) $p => _,)*
            b = inout(reg) b => _,
            init = inout(reg) init => _,
            ldi = in(reg) 4 * ldi,
            c = inout(reg) c => _,
            ldc = in(reg) 4 * ldc,
            row = in(reg) 64_usize,
            whole = inout(reg) depth.whole => _,
            half = in(reg) usize::from(depth.half),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }};
}

impl Multiply {
    /// # Safety
    /// The tiles are configured; the matrices are readable and writable as described.
    pub(super) unsafe fn run(self, tiles: usize) {
        // SAFETY: the caller's promise; the code reads and writes these matrices and tiles alone.
        unsafe {
            match tiles {
                1 => group!(self; 0 3 a0),
                2 => group!(self; 0 3 a0, 1 4 a1),
                _ => group!(self; 0 3 a0, 1 4 a1, 2 5 a2),
            }
        }
    }
}
