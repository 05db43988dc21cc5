//! Randomness as a value: Philox4x32-10 keyed by purpose, counted by particle.

mod kronecker;
mod normal;
mod philox;
mod quantile;
mod uniform;

pub use kronecker::KroneckerSequence;
use philox::philox4x32;
pub(crate) use quantile::quantile;

/// A stream of random numbers named by a seed and a path of purposes.
///
/// Nothing is drawn *from* a key, so nothing needs to be saved to resume: the numbers of particle
/// `row` are a function of the key and `row` alone, whatever the batch, chunk, thread or rank that
/// computes them. They are also the same on every machine: no step of their computation is left
/// to a mathematical library or to the instruction set.
///
/// # Reference
/// Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
///
/// ```
/// use sde_core::Key;
/// let noise = Key::root(7).fold(1);
/// let (mut all, mut part) = ([0.0; 6], [0.0; 2]);
/// noise.fill_normals(0, &mut all);
/// noise.fill_normals(4, &mut part);
/// assert_eq!(all[4..], part);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key([u32; 2]);

/// Third counter word: which kind of number a block of Philox output is turned into.
const NORMALS: u32 = 1;
const NORMALS_F32: u32 = 2;
const UNIFORMS: u32 = 3;
const SIGNS: u32 = 4;

impl Key {
    /// The key of a seed.
    pub const fn root(seed: u64) -> Self {
        Self([seed as u32, (seed >> 32) as u32])
    }

    /// The seed that this is the [`Key::root`] of; every key is the root of one.
    pub const fn seed(self) -> u64 {
        self.0[0] as u64 | (self.0[1] as u64) << 32
    }

    /// A key of its own for the purpose, step or index `data` below this one.
    #[must_use]
    pub fn fold(self, data: u64) -> Self {
        let o = philox4x32([data as u32, (data >> 32) as u32, 0x5EED, 0xF01D], self.0);
        Self([o[0], o[1]])
    }

    /// Writes the standard normals number `first`, `first + 1`, ... of this key into `out`.
    ///
    /// A batch of particles of dimension `D` uses number `row * D + j` for coordinate `j`.
    /// No number exceeds 8.5 in size.
    pub fn fill_normals(self, first: u64, out: &mut [f64]) {
        in_blocks(first, out, |block, out| normal::fill_f64(self.0, NORMALS, block, out));
    }

    /// As [`Key::fill_normals`] in single precision: other numbers, in about a third of the time. No
    /// number exceeds 6.7 in size.
    pub fn fill_normals_f32(self, first: u64, out: &mut [f32]) {
        in_blocks(first, out, |block, out| normal::fill_f32(self.0, NORMALS_F32, block, out));
    }

    /// Writes uniforms on (0, 1), number `first` onward, with 52 random bits each: the midpoints
    /// of `2^52` equal cells.
    ///
    /// ```
    /// use sde_core::Key;
    /// let mut u = [0.0; 100];
    /// Key::root(0).fill_uniforms(0, &mut u);
    /// assert!(u.iter().all(|u| *u > 0.0 && *u < 1.0));
    /// ```
    pub fn fill_uniforms(self, first: u64, out: &mut [f64]) {
        in_blocks(first, out, |block, out| uniform::fill_uniforms(self.0, UNIFORMS, block, out));
    }

    /// Writes random signs (+1 or -1), number `first` onward.
    ///
    /// ```
    /// use sde_core::Key;
    /// let mut s = [0.0; 100];
    /// Key::root(0).fill_signs(0, &mut s);
    /// assert!(s.iter().all(|s| s.abs() == 1.0));
    /// ```
    pub fn fill_signs(self, first: u64, out: &mut [f64]) {
        in_blocks(first, out, |block, out| uniform::fill_signs(self.0, SIGNS, block, out));
    }
}

/// Fills numbers `first ..` of a stream that comes in blocks of `N`.
fn in_blocks<T: Copy + Default, const N: usize>(
    first: u64,
    out: &mut [T],
    fill: impl Fn(u64, &mut [[T; N]]),
) {
    let (mut block, skip) = (first / N as u64, (first % N as u64) as usize);
    let mut edge = [[T::default(); N]];
    let mut rest = out;
    if skip > 0 {
        let (head, tail) = rest.split_at_mut(rest.len().min(N - skip));
        fill(block, &mut edge);
        head.copy_from_slice(&edge[0][skip..skip + head.len()]);
        (rest, block) = (tail, block + 1);
    }
    let (whole, tail) = rest.as_chunks_mut::<N>();
    if !whole.is_empty() {
        fill(block, whole);
    }
    if !tail.is_empty() {
        fill(block + whole.len() as u64, &mut edge);
        tail.copy_from_slice(&edge[0][..tail.len()]);
    }
}
