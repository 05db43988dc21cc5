//! Colours: one sequential and one diverging map as small tables, and the palette of lines and marks.

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

/// Grey-blue, amber, red, violet: an order that is also one of lightness.
const RAMP: [[u8; 3]; 4] = [[148, 163, 184], [245, 158, 11], [225, 29, 72], [88, 28, 135]];

/// Text.
pub const INK: &str = "#1f2937";
/// Secondary text.
pub const GREY: &str = "#6b7280";
/// Lines behind the data.
pub const GRID: &str = "#e5e7eb";
/// Lines that hold no data but should be seen: axes, diagonals.
pub const RULE: &str = "#9ca3af";
/// Lines and marks of things without an order.
pub const PALETTE: [&str; 9] = [
    "#2563eb", "#db2777", "#65a30d", "#9333ea", "#0891b2", "#f59e0b", "#dc2626", "#334155",
    "#0d9488",
];

/// A colour map on `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// Dark to bright.
    Sequential,
    /// Blue below the middle, red above it.
    Diverging,
}

impl Map {
    /// The colour of `v`, clamped to `[0, 1]`.
    #[must_use]
    pub fn rgb(self, v: f64) -> [u8; 3] {
        match self {
            Self::Sequential => between(&VIRIDIS, v),
            Self::Diverging => between(&RED_BLUE, v),
        }
    }

    /// The same, as SVG writes it.
    ///
    /// ```
    /// assert_eq!(report::Map::Sequential.hex(1.0), "#fde725");
    /// ```
    #[must_use]
    pub fn hex(self, v: f64) -> String {
        hex(self.rgb(v))
    }
}

/// The colour of number `k` of the palette, from its beginning again after its end.
#[must_use]
pub fn palette(k: usize) -> &'static str {
    PALETTE[k % PALETTE.len()]
}

/// The colour of number `k` of `n` in order: grey-blue for the first to deep violet for the last.
#[must_use]
pub fn ordered(k: usize, n: usize) -> String {
    hex(between(&RAMP, if n < 2 { 0.0 } else { k as f64 / (n - 1) as f64 }))
}

/// Linear between the entries of a table.
fn between(table: &[[u8; 3]], v: f64) -> [u8; 3] {
    let last = table.len() - 1;
    let at = if v.is_finite() { v.clamp(0.0, 1.0) * last as f64 } else { 0.0 };
    let k = (at as usize).min(last - 1);
    let f = at - k as f64;
    std::array::from_fn(|c| {
        let (a, b) = (f64::from(table[k][c]), f64::from(table[k + 1][c]));
        (a + f * (b - a)).round() as u8
    })
}

fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}
