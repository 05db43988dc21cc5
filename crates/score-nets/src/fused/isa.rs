//! The choice of instruction set and activation, made once a call.

use super::Activation;
use super::activation::{self, Act};
use super::simd::{self, Simd};
use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many of [`Isa::ALL`] are left out.
static LIMIT: AtomicUsize = AtomicUsize::new(0);

/// An instruction set that the kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// AVX-512, and matrix products on the tiles of AMX: each number in three pieces of bf16, which
    /// is as accurate as single precision.
    Amx,
    /// AVX-512 F and DQ: registers of 16 numbers.
    Avx512,
    /// AVX2 and FMA: registers of 8 numbers.
    Avx2,
    /// What every machine of the target has.
    Portable,
}

impl Isa {
    /// All of them, the fastest first.
    pub const ALL: [Self; 4] = [Self::Amx, Self::Avx512, Self::Avx2, Self::Portable];

    /// The fastest that this machine has, or the one that [`Isa::choose`] chose.
    pub fn detect() -> Self {
        let mut all = Self::ALL.into_iter().skip(LIMIT.load(Ordering::Relaxed));
        all.find(|isa| isa.is_available()).unwrap_or(Self::Portable)
    }

    /// From here on [`Isa::detect`] finds this one, in the whole process: for comparisons, and for
    /// the bits of another machine. Networks keep what they were built for.
    ///
    /// # Errors
    /// [`Error::Setting`] where the machine does not have it; nothing changes then.
    ///
    /// ```
    /// use score_nets::fused::Isa;
    ///
    /// let isa: Isa = "portable".parse()?;
    /// isa.choose()?;
    /// assert_eq!(Isa::detect(), Isa::Portable);
    /// # Ok::<(), score_nets::Error>(())
    /// ```
    pub fn choose(self) -> Result<()> {
        if !self.is_available() {
            let here = Self::ALL.into_iter().filter(|isa| isa.is_available());
            let here: Vec<_> = here.map(Self::name).collect();
            let reason = format!("this machine has {}", here.join(", "));
            return Err(Error::Setting { name: "isa".into(), value: self.to_string(), reason });
        }
        let place = Self::ALL.iter().position(|&isa| isa == self);
        LIMIT.store(place.expect("one of them"), Ordering::Relaxed);
        Ok(())
    }

    /// Its name, which [`str::parse`] takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amx => "amx",
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        }
    }

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx => Self::Avx512.is_available() && super::amx::is_available(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512dq")
                    && Self::Avx2.is_available()
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Self::Portable => true,
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// Numbers in a register.
    pub(super) fn lanes(self) -> usize {
        self.sizes().0
    }

    /// Registers in the widest tile.
    pub(super) fn max_vecs(self) -> usize {
        self.sizes().1
    }

    /// Whether it multiplies matrices on tiles.
    pub(super) fn tiles(self) -> bool {
        self == Self::Amx
    }

    fn sizes(self) -> (usize, usize) {
        fn of<S: Simd>() -> (usize, usize) {
            (S::LANES, S::MAX_VECS)
        }
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx | Self::Avx512 => of::<simd::Avx512<false>>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => of::<simd::Avx2>(),
            _ => of::<simd::Portable>(),
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|isa| isa.name() == name).ok_or_else(|| Error::Setting {
            name: "isa".into(),
            value: name.into(),
            reason: format!("expected {}", Self::ALL.map(Self::name).join(", ")),
        })
    }
}

/// Work that is compiled for each instruction set and activation.
pub(super) trait Job {
    /// What it returns.
    type Output;
    /// # Safety
    /// The processor has the instruction set `S`.
    unsafe fn run<S: Simd, A: Act>(self, act: A) -> Self::Output;
}

/// Runs `job` for an instruction set that this machine has and an activation.
pub(super) fn dispatch<J: Job>(isa: Isa, activation: Activation, job: J) -> J::Output {
    assert!(isa.is_available(), "{isa:?} is not available here");
    // SAFETY: it is available.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Amx => with_simd::<simd::Avx512<true>, J>(activation, job),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => with_simd::<simd::Avx512<false>, J>(activation, job),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => with_simd::<simd::Avx2, J>(activation, job),
            _ => with_simd::<simd::Portable, J>(activation, job),
        }
    }
}

/// Work that is compiled for each instruction set.
pub(super) trait Work {
    /// What it returns.
    type Output;
    /// # Safety
    /// The processor has the instruction set `S`.
    unsafe fn run<S: Simd>(self) -> Self::Output;
}

/// Runs `work` on the registers of an instruction set that this machine has.
pub(super) fn on_registers<W: Work>(isa: Isa, work: W) -> W::Output {
    assert!(isa.is_available(), "{isa:?} is not available here");
    // SAFETY: it is available.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Amx | Isa::Avx512 => work.run::<simd::Avx512<false>>(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => work.run::<simd::Avx2>(),
            _ => work.run::<simd::Portable>(),
        }
    }
}

/// # Safety
/// The processor has the instruction set `S`.
unsafe fn with_simd<S: Simd, J: Job>(activation: Activation, job: J) -> J::Output {
    // SAFETY: the caller's promise.
    unsafe {
        match activation {
            Activation::Softplus { beta } => job.run::<S, _>(activation::Softplus::new(beta)),
            Activation::Silu => job.run::<S, _>(activation::Silu),
            Activation::Tanh => job.run::<S, _>(activation::Tanh),
            Activation::Sin => job.run::<S, _>(activation::Sin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_and_unknown_ones_refused() {
        for isa in Isa::ALL {
            assert_eq!(isa.to_string().parse::<Isa>().ok(), Some(isa));
        }
        let error = "AVX".parse::<Isa>().expect_err("no such set").to_string();
        assert_eq!(error, "isa = AVX: expected amx, avx512, avx2, portable");
    }

    #[test]
    fn what_the_machine_lacks_is_refused() {
        for isa in Isa::ALL.into_iter().filter(|isa| !isa.is_available()) {
            let error = isa.choose().expect_err("not here").to_string();
            let said = error.strip_prefix(&format!("isa = {isa}: this machine has "));
            assert!(said.is_some_and(|here| here.ends_with("portable") && !here.contains("amx")));
        }
    }
}
