//! The activations, each with its first four derivatives from one or two stored numbers.

use super::simd::Simd;

/// The non-linearity between the layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `log(1 + exp(beta z)) / beta`.
    Softplus {
        /// The sharpness; 1 in most networks, 100 in the published ones.
        beta: f32,
    },
    /// `z / (1 + exp(-z))`.
    Silu,
    /// The hyperbolic tangent.
    Tanh,
    /// The sine.
    Sin,
}

/// What is kept of a pre-activation, one or two registers of it.
pub(super) type Kept<S> = [<S as Simd>::V; 2];

/// An activation `a(z)` and its derivatives.
///
/// The reverse pass meets its second and third derivatives only as products with the cotangent `c`
/// of `a(z)`. Where `a''/a'` is a polynomial in what is kept (`FROM_GRADIENT`), these come from
/// `g = a' c`, which the weight gradients need anyway, and `c` itself is not stored.
pub(super) trait Act: Copy + Send + Sync {
    /// How many numbers are kept.
    const KEPT: usize;
    /// Whether [`Act::d2_times`] and [`Act::d3_times`] take `a' c` in place of `c`.
    const FROM_GRADIENT: bool;
    /// `a(z)` and what is kept.
    unsafe fn value<S: Simd>(&self, z: S::V) -> (S::V, Kept<S>);
    /// What is kept, without the value.
    #[inline(always)]
    unsafe fn keep<S: Simd>(&self, z: S::V) -> Kept<S> {
        // SAFETY: the caller's promise.
        unsafe { self.value::<S>(z).1 }
    }
    /// `a'`
    unsafe fn d1<S: Simd>(&self, k: Kept<S>) -> S::V;
    /// `a''`
    unsafe fn d2<S: Simd>(&self, k: Kept<S>) -> S::V;
    /// `a'' c`
    unsafe fn d2_times<S: Simd>(&self, k: Kept<S>, e: S::V) -> S::V;
    /// `a''' c`
    unsafe fn d3_times<S: Simd>(&self, k: Kept<S>, e: S::V) -> S::V;
    /// `a'''`
    #[inline(always)]
    unsafe fn d3<S: Simd>(&self, k: Kept<S>) -> S::V {
        // SAFETY: the caller's promise.
        unsafe {
            let e = if Self::FROM_GRADIENT { self.d1::<S>(k) } else { S::splat(1.0) };
            self.d3_times::<S>(k, e)
        }
    }
    /// `a''''`
    unsafe fn d4<S: Simd>(&self, k: Kept<S>) -> S::V;
}

/// `sum_i c_i x^i` by Horner's rule.
#[inline(always)]
unsafe fn horner<S: Simd, const N: usize>(x: S::V, c: &[f32; N]) -> S::V {
    // SAFETY: the caller runs under the instruction set of S.
    unsafe {
        let mut p = S::splat(c[N - 1]);
        for &c in c[..N - 1].iter().rev() {
            p = S::fma(p, x, S::splat(c));
        }
        p
    }
}

/// `2^f` on [-1/2, 1/2], relative error 9.4e-8.
const EXP2: [f32; 6] =
    [1.0, 6.931_472e-1, 2.402_223_5e-1, 5.550_308_5e-2, 9.671_861e-3, 1.340_723_8e-3];
/// `log(1 + e) / e` on [0, 1], absolute error of `log(1 + e)` 3.3e-8.
const LOG1P: [f32; 8] = [
    9.999_965e-1,
    -4.998_758e-1,
    3.318_116e-1,
    -2.407_803_8e-1,
    1.677_488e-1,
    -9.543_714e-2,
    3.615_276e-2,
    -6.469_199e-3,
];
/// `(sin r - r) / r^3` in `r^2`, for |r| <= pi/2.
const SIN: [f32; 4] = [-1.666_665_7e-1, 8.333_018e-3, -1.980_663_4e-4, 2.600_084_8e-6];
/// `(cos r - 1 + r^2/2) / r^4` in `r^2`, for |r| <= pi/2.
const COS: [f32; 4] = [4.166_665_7e-2, -1.388_857_3e-3, 2.476_951_2e-5, -2.619_749_5e-7];

/// `2^y` for `y <= 0`, exactly zero below 2^-100 and for NaN NaN.
#[inline(always)]
pub(super) unsafe fn exp2_negative<S: Simd>(y: S::V) -> S::V {
    // SAFETY: the caller runs under the instruction set of S.
    unsafe {
        let n = S::round(y);
        S::scale_above(y, -100.0, horner::<S, 6>(S::sub(y, n), &EXP2), n)
    }
}

/// `sigmoid(y ln 2)` and `2^-|y|`. The tail below 2^-36 is exactly zero: nothing there is visible
/// in single precision, and products of such numbers would be denormal.
#[inline(always)]
unsafe fn sigmoid2<S: Simd>(y: S::V) -> (S::V, S::V) {
    // SAFETY: the caller runs under the instruction set of S.
    unsafe {
        let m = S::neg_abs(y);
        let n = S::round(m);
        let p = horner::<S, 6>(S::sub(m, n), &EXP2);
        let e = S::scale_above(m, -36.0, p, n);
        let s = S::recip(S::add(e, S::splat(1.0)));
        (S::mul_where_negative(y, s, e), e)
    }
}

/// Softplus; keeps `s = sigmoid(beta z)`.
#[derive(Clone, Copy)]
pub(super) struct Softplus {
    beta: f32,
    beta_log2_e: f32,
    log1p_over_beta: [f32; 8],
}

impl Softplus {
    pub(super) fn new(beta: f32) -> Self {
        let scaled = LOG1P.map(|c| (f64::from(c) / f64::from(beta)) as f32);
        let log2_e = std::f64::consts::LOG2_E;
        Self { beta, beta_log2_e: (f64::from(beta) * log2_e) as f32, log1p_over_beta: scaled }
    }

    /// `a''/a' = beta (1 - s)`.
    #[inline(always)]
    unsafe fn ratio<S: Simd>(&self, s: S::V) -> S::V {
        // SAFETY: the caller runs under the instruction set of S.
        unsafe { S::fma(S::splat(-self.beta), s, S::splat(self.beta)) }
    }
}

// SAFETY (every block of the four implementations): the caller runs under the instruction set of S.
impl Act for Softplus {
    const KEPT: usize = 1;
    const FROM_GRADIENT: bool = true;

    #[inline(always)]
    unsafe fn value<S: Simd>(&self, z: S::V) -> (S::V, Kept<S>) {
        // SAFETY: see the impl.
        unsafe {
            let (s, e) = sigmoid2::<S>(S::mul(z, S::splat(self.beta_log2_e)));
            let l = horner::<S, 8>(e, &self.log1p_over_beta);
            (S::fma(l, e, S::max(S::splat(0.0), z)), [s, s])
        }
    }
    #[inline(always)]
    unsafe fn keep<S: Simd>(&self, z: S::V) -> Kept<S> {
        // SAFETY: see the impl.
        unsafe {
            let (s, _) = sigmoid2::<S>(S::mul(z, S::splat(self.beta_log2_e)));
            [s, s]
        }
    }
    #[inline(always)]
    unsafe fn d1<S: Simd>(&self, [s, _]: Kept<S>) -> S::V {
        s
    }
    #[inline(always)]
    unsafe fn d2<S: Simd>(&self, [s, _]: Kept<S>) -> S::V {
        // SAFETY: see the impl.
        unsafe { S::mul(self.ratio::<S>(s), s) }
    }
    #[inline(always)]
    unsafe fn d2_times<S: Simd>(&self, [s, _]: Kept<S>, g: S::V) -> S::V {
        // SAFETY: see the impl.
        unsafe { S::mul(self.ratio::<S>(s), g) }
    }
    #[inline(always)]
    unsafe fn d3_times<S: Simd>(&self, [s, _]: Kept<S>, g: S::V) -> S::V {
        // a'''/a' = beta^2 (1 - s) (1 - 2 s)
        // SAFETY: see the impl.
        unsafe {
            let q = S::fma(S::splat(-2.0 * self.beta), s, S::splat(self.beta));
            S::mul(q, S::mul(self.ratio::<S>(s), g))
        }
    }
    #[inline(always)]
    unsafe fn d4<S: Simd>(&self, [s, _]: Kept<S>) -> S::V {
        // beta^3 p (1 - 6 p), p = s (1 - s)
        // SAFETY: see the impl.
        unsafe {
            let p = S::fnma(s, s, s);
            let cube = S::splat(self.beta * self.beta * self.beta);
            S::mul(S::mul(cube, p), S::fnma(S::splat(6.0), p, S::splat(1.0)))
        }
    }
}

/// SiLU; keeps `s = sigmoid(z)` and `z`.
#[derive(Clone, Copy)]
pub(super) struct Silu;

impl Silu {
    /// `s (1 - s)`.
    #[inline(always)]
    unsafe fn bump<S: Simd>(s: S::V) -> S::V {
        // SAFETY: the caller runs under the instruction set of S.
        unsafe { S::fnma(s, s, s) }
    }
}

impl Act for Silu {
    const KEPT: usize = 2;
    const FROM_GRADIENT: bool = false;

    #[inline(always)]
    unsafe fn value<S: Simd>(&self, z: S::V) -> (S::V, Kept<S>) {
        // SAFETY: see Softplus.
        unsafe {
            let (s, _) = sigmoid2::<S>(S::mul(z, S::splat(std::f32::consts::LOG2_E)));
            (S::mul(z, s), [s, z])
        }
    }
    #[inline(always)]
    unsafe fn d1<S: Simd>(&self, [s, z]: Kept<S>) -> S::V {
        // s + z s (1 - s)
        // SAFETY: see Softplus.
        unsafe { S::fma(z, Self::bump::<S>(s), s) }
    }
    #[inline(always)]
    unsafe fn d2<S: Simd>(&self, [s, z]: Kept<S>) -> S::V {
        // s (1 - s) (2 + z (1 - 2 s))
        // SAFETY: see Softplus.
        unsafe {
            let q = S::fnma(S::splat(2.0), s, S::splat(1.0));
            S::mul(Self::bump::<S>(s), S::fma(z, q, S::splat(2.0)))
        }
    }
    #[inline(always)]
    unsafe fn d2_times<S: Simd>(&self, k: Kept<S>, c: S::V) -> S::V {
        // SAFETY: see Softplus.
        unsafe { S::mul(self.d2::<S>(k), c) }
    }
    #[inline(always)]
    unsafe fn d3_times<S: Simd>(&self, [s, z]: Kept<S>, c: S::V) -> S::V {
        // s (1 - s) (3 (1 - 2 s) + z (1 - 6 s (1 - s)))
        // SAFETY: see Softplus.
        unsafe {
            let b = Self::bump::<S>(s);
            let q = S::fnma(S::splat(6.0), s, S::splat(3.0));
            let r = S::fnma(S::splat(6.0), b, S::splat(1.0));
            S::mul(S::mul(b, c), S::fma(z, r, q))
        }
    }
    #[inline(always)]
    unsafe fn d4<S: Simd>(&self, [s, z]: Kept<S>) -> S::V {
        // p (4 (1 - 6 p) + z (1 - 2 s) (1 - 12 p)), p = s (1 - s)
        // SAFETY: see Softplus.
        unsafe {
            let (p, one) = (Self::bump::<S>(s), S::splat(1.0));
            let even = S::fnma(S::splat(24.0), p, S::splat(4.0));
            let odd = S::mul(S::fnma(S::splat(2.0), s, one), S::fnma(S::splat(12.0), p, one));
            S::mul(p, S::fma(z, odd, even))
        }
    }
}

/// Hyperbolic tangent; keeps its value `y`.
#[derive(Clone, Copy)]
pub(super) struct Tanh;

impl Act for Tanh {
    const KEPT: usize = 1;
    const FROM_GRADIENT: bool = true;

    #[inline(always)]
    unsafe fn value<S: Simd>(&self, z: S::V) -> (S::V, Kept<S>) {
        // A 13/6 rational function, within two units in the last place where |z| < 7.9053; beyond,
        // the tangent is one to single precision.
        const ODD: [f32; 7] = [
            4.893_524_6e-3,
            6.372_619_5e-4,
            1.485_722_4e-5,
            5.122_297e-8,
            -8.604_672e-11,
            2.000_188e-13,
            -2.760_768_6e-16,
        ];
        const EVEN: [f32; 4] = [4.893_525e-3, 2.268_434_5e-3, 1.185_347_1e-4, 1.198_258_4e-6];
        // SAFETY: see Softplus.
        unsafe {
            let bound = 7.905_311;
            let z = S::max(S::splat(-bound), S::min(S::splat(bound), z));
            let q = S::mul(z, z);
            let p = S::mul(z, horner::<S, 7>(q, &ODD));
            let y = S::div(p, horner::<S, 4>(q, &EVEN));
            (y, [y, y])
        }
    }
    #[inline(always)]
    unsafe fn d1<S: Simd>(&self, [y, _]: Kept<S>) -> S::V {
        // SAFETY: see Softplus.
        unsafe { S::fnma(y, y, S::splat(1.0)) }
    }
    #[inline(always)]
    unsafe fn d2<S: Simd>(&self, k: Kept<S>) -> S::V {
        // SAFETY: see Softplus.
        unsafe { self.d2_times::<S>(k, self.d1::<S>(k)) }
    }
    #[inline(always)]
    unsafe fn d2_times<S: Simd>(&self, [y, _]: Kept<S>, g: S::V) -> S::V {
        // a''/a' = -2 y
        // SAFETY: see Softplus.
        unsafe { S::mul(S::mul(S::splat(-2.0), y), g) }
    }
    #[inline(always)]
    unsafe fn d3_times<S: Simd>(&self, [y, _]: Kept<S>, g: S::V) -> S::V {
        // a'''/a' = 6 y^2 - 2
        // SAFETY: see Softplus.
        unsafe { S::mul(S::fma(S::mul(S::splat(6.0), y), y, S::splat(-2.0)), g) }
    }
    #[inline(always)]
    unsafe fn d4<S: Simd>(&self, [y, x]: Kept<S>) -> S::V {
        // 8 y (1 - y^2) (2 - 3 y^2)
        // SAFETY: see Softplus.
        unsafe {
            let square = S::mul(y, y);
            let rest = S::fnma(S::splat(3.0), square, S::splat(2.0));
            S::mul(S::mul(S::splat(8.0), y), S::mul(self.d1::<S>([y, x]), rest))
        }
    }
}

/// Sine; keeps the sine and the cosine.
#[derive(Clone, Copy)]
pub(super) struct Sin;

impl Act for Sin {
    const KEPT: usize = 2;
    const FROM_GRADIENT: bool = false;

    #[inline(always)]
    unsafe fn value<S: Simd>(&self, z: S::V) -> (S::V, Kept<S>) {
        // SAFETY: see Softplus.
        unsafe {
            // z = n pi + r, |r| <= pi/2; the sign of both is that of (-1)^n.
            let n = S::round(S::mul(z, S::splat(std::f32::consts::FRAC_1_PI)));
            // (Beyond |z| = 1e8 there is no r to speak of: the bound keeps the sine a sine.)
            let r = S::fnma(n, S::splat(9.676_536e-4), S::fnma(n, S::splat(3.140_625), z));
            let r = S::max(S::splat(-1.571), S::min(S::splat(1.571), r));
            let half = S::mul(n, S::splat(0.5));
            let odd = S::sub(half, S::round(half)); // 0, or 1/2 in size
            let sign = S::fnma(S::mul(odd, S::splat(8.0)), odd, S::splat(1.0));
            let q = S::mul(r, r);
            let sin = S::fma(S::mul(q, r), horner::<S, 4>(q, &SIN), r);
            let cos = S::fnma(S::splat(0.5), q, S::splat(1.0));
            let cos = S::fma(S::mul(q, q), horner::<S, 4>(q, &COS), cos);
            let (sin, cos) = (S::mul(sign, sin), S::mul(sign, cos));
            (sin, [sin, cos])
        }
    }
    #[inline(always)]
    unsafe fn d1<S: Simd>(&self, [_, cos]: Kept<S>) -> S::V {
        cos
    }
    #[inline(always)]
    unsafe fn d2<S: Simd>(&self, [sin, _]: Kept<S>) -> S::V {
        // SAFETY: see Softplus.
        unsafe { S::sub(S::splat(0.0), sin) }
    }
    #[inline(always)]
    unsafe fn d2_times<S: Simd>(&self, [sin, _]: Kept<S>, c: S::V) -> S::V {
        // SAFETY: see Softplus.
        unsafe { S::fnma(sin, c, S::splat(0.0)) }
    }
    #[inline(always)]
    unsafe fn d3_times<S: Simd>(&self, [_, cos]: Kept<S>, c: S::V) -> S::V {
        // SAFETY: see Softplus.
        unsafe { S::fnma(cos, c, S::splat(0.0)) }
    }
    #[inline(always)]
    unsafe fn d4<S: Simd>(&self, [sin, _]: Kept<S>) -> S::V {
        sin
    }
}
