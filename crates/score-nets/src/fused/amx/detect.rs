//! Whether the tiles of AMX can be used.

use std::arch::asm;
use std::sync::OnceLock;

/// Whether the processor has AMX with bf16, and the system lets this process use it: Linux is asked
/// for the permission on the first call.
pub(in crate::fused) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| cfg!(target_os = "linux") && processor() && permitted())
}

/// AMX-TILE and AMX-BF16, and tiles saved by the system.
fn processor() -> bool {
    use std::arch::x86_64::__cpuid_count;
    const OSXSAVE: u32 = 1 << 27;
    const AMX: u32 = 1 << 22 | 1 << 24;
    const TILES: u32 = 3 << 17;
    let saves = __cpuid_count(1, 0).ecx & OSXSAVE != 0;
    if __cpuid_count(0, 0).eax < 7 || !saves || __cpuid_count(7, 0).edx & AMX != AMX {
        return false;
    }
    let enabled: u32;
    // SAFETY: the system has enabled xgetbv (OSXSAVE), which reads a register.
    unsafe {
        asm!("xgetbv", in("ecx") 0, out("eax") enabled, out("edx") _, options(nomem, nostack));
    }
    enabled & TILES == TILES
}

/// Asks Linux for the state of the tiles, which a process has to before its first use.
fn permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const XTILEDATA: u64 = 18;
    let result: i64;
    // SAFETY: the system call arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA) takes numbers, writes no
    // memory, and allows what was not allowed before.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}
