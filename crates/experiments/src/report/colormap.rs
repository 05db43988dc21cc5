//! Colours: one sequential and one diverging map as small tables, and the palette of the lines.

/// Eleven samples of viridis (van der Walt and Smith 2015): even steps in perceived lightness.
const VIRIDIS: [[u8; 3]; 11] = [
    [68, 1, 84],
    [72, 36, 117],
    [65, 68, 135],
    [53, 95, 141],
    [42, 120, 142],
    [33, 145, 140],
    [34, 168, 132],
    [68, 191, 112],
    [122, 209, 81],
    [189, 223, 38],
    [253, 231, 37],
];

/// Red to blue through near-white (ColorBrewer `RdBu`, eleven classes, blue negative).
const RED_BLUE: [[u8; 3]; 11] = [
    [5, 48, 97],
    [33, 102, 172],
    [67, 147, 195],
    [146, 197, 222],
    [209, 229, 240],
    [247, 247, 247],
    [253, 219, 199],
    [244, 165, 130],
    [214, 96, 77],
    [178, 24, 43],
    [103, 0, 31],
];

/// A colour map on `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Map {
    /// Dark to bright.
    Sequential,
    /// Blue below the middle, red above it.
    Diverging,
}

impl Map {
    /// The colour of `v`, clamped to `[0, 1]`.
    pub(crate) fn rgb(self, v: f64) -> [u8; 3] {
        let table = match self {
            Self::Sequential => &VIRIDIS,
            Self::Diverging => &RED_BLUE,
        };
        let at = if v.is_finite() { v.clamp(0.0, 1.0) * 10.0 } else { 0.0 };
        let k = (at as usize).min(9);
        let f = at - k as f64;
        std::array::from_fn(|c| {
            let (a, b) = (f64::from(table[k][c]), f64::from(table[k + 1][c]));
            (a + f * (b - a)).round() as u8
        })
    }
}

/// ODE to truth.
pub(crate) const OT: &str = "#c2410c";
/// SDE to truth.
pub(crate) const ST: &str = "#0d9488";
/// ODE to SDE.
pub(crate) const OS: &str = "#4338ca";
/// Text.
pub(crate) const INK: &str = "#1f2937";
/// Secondary text.
pub(crate) const GREY: &str = "#6b7280";
/// Grid lines.
pub(crate) const GRID: &str = "#e5e7eb";

/// Colours of the data sets, in order.
pub(crate) const SETS: [&str; 5] = ["#2563eb", "#db2777", "#65a30d", "#9333ea", "#0891b2"];

/// The colour of weight number `k` of `n`: from grey-blue (none) to deep violet (largest).
pub(crate) fn weight(k: usize, n: usize) -> String {
    const RAMP: [[f64; 3]; 4] =
        [[148.0, 163.0, 184.0], [245.0, 158.0, 11.0], [225.0, 29.0, 72.0], [88.0, 28.0, 135.0]];
    let at = if n < 2 { 0.0 } else { 3.0 * k as f64 / (n - 1) as f64 };
    let i = (at as usize).min(2);
    let f = at - i as f64;
    let c: Vec<u8> =
        (0..3).map(|j| (RAMP[i][j] + f * (RAMP[i + 1][j] - RAMP[i][j])).round() as u8).collect();
    format!("#{:02x}{:02x}{:02x}", c[0], c[1], c[2])
}
