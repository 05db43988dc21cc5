//! Randomness as a value: Philox4x32-10 keyed by purpose, counted by particle.

/// A stream of random numbers named by a seed and a path of purposes.
///
/// Nothing is drawn *from* a key, so nothing needs to be saved to resume: the numbers of particle
/// `row` are a function of the key and `row` alone, whatever the batch, chunk, thread or rank that
/// computes them.
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

impl Key {
    /// The key of a seed.
    pub const fn root(seed: u64) -> Self {
        Self([seed as u32, (seed >> 32) as u32])
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
    pub fn fill_normals(self, first: u64, out: &mut [f64]) {
        let _ = (first, out);
        unimplemented!("sde-core helper")
    }

    /// As [`Key::fill_normals`] in single precision: other numbers, several times faster.
    pub fn fill_normals_f32(self, first: u64, out: &mut [f32]) {
        let _ = (first, out);
        unimplemented!("sde-core helper")
    }

    /// Writes uniforms on (0, 1), number `first` onward, with 53 random bits each.
    pub fn fill_uniforms(self, first: u64, out: &mut [f64]) {
        let _ = (first, out);
        unimplemented!("sde-core helper")
    }

    /// Writes random signs (+1 or -1), number `first` onward.
    pub fn fill_signs(self, first: u64, out: &mut [f64]) {
        let _ = (first, out);
        unimplemented!("sde-core helper")
    }
}

fn philox4x32(mut c: [u32; 4], mut k: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let p0 = 0xD251_1F53_u64 * u64::from(c[0]);
        let p1 = 0xCD9E_8D57_u64 * u64::from(c[2]);
        c = [(p1 >> 32) as u32 ^ c[1] ^ k[0], p1 as u32, (p0 >> 32) as u32 ^ c[3] ^ k[1], p0 as u32];
        k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
    }
    c
}
