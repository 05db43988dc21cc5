//! Weighted sums over groups of inputs that do not overlap: selections, averages, grey values.

use sde_core::Result;

use super::{Linear, refuse};

/// Output `i` is a weighted sum of inputs that no other output has: `y_i = sum_j w_ij x_j`. The rows of `A` are
/// orthogonal, so `U = I`, `d_i = |w_i|` and `V` has the rows `w_i / |w_i|`.
///
/// ```
/// use control::{Grey, Groups, Linear};
/// use ndarray::array;
/// let columns = Groups::columns(3, &[2, 0])?;
/// assert_eq!(columns.apply(&array![[1.0, 2.0, 3.0]])?, array![[3.0, 1.0]]);
/// let grey = Groups::grey([3, 1, 1], Grey::Mean)?;
/// assert!((grey.apply(&array![[0.0, 0.6, 0.9]])?[[0, 0]] - 0.5).abs() < 1e-15);
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Groups {
    inputs: usize,
    /// Where each group begins in `members`, and the end.
    starts: Vec<usize>,
    members: Vec<(usize, f64)>,
    norms: Vec<f64>,
}

/// How the channels of a pixel make its grey value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grey {
    /// Their mean.
    Mean,
    /// `0.299 R + 0.587 G + 0.114 B`, of three channels (ITU-R BT.601).
    Luma,
}

impl Groups {
    /// Sums over `groups`, each a list of an input's number and its weight.
    ///
    /// # Errors
    /// [`sde_core::Error::Parameter`] for no group, an empty one, an input that is not there or in two groups, a weight that
    /// is zero or not finite.
    pub fn new(inputs: usize, groups: &[Vec<(usize, f64)>]) -> Result<Self> {
        if groups.is_empty() {
            return refuse("groups", 0, "needs at least one");
        }
        let (mut used, mut starts) = (vec![false; inputs], vec![0]);
        for (i, group) in groups.iter().enumerate() {
            if group.is_empty() {
                return refuse("group", i, "has no input");
            }
            for (j, w) in group {
                let Some(used) = used.get_mut(*j) else {
                    return refuse("input", j, format!("there are {inputs}"));
                };
                if std::mem::replace(used, true) {
                    return refuse("input", j, format!("is in group {i} and in another place too"));
                }
                if !(w.is_finite() && *w != 0.0) {
                    return refuse("weight", w, format!("of input {j}: must be finite, not zero"));
                }
            }
            starts.push(starts[i] + group.len());
        }
        let norm = |group: &Vec<(usize, f64)>| group.iter().map(|(_, w)| w * w).sum::<f64>().sqrt();
        let norms = groups.iter().map(norm).collect();
        Ok(Self { inputs, starts, members: groups.concat(), norms })
    }

    /// The columns of a table that are seen, in this order.
    ///
    /// # Errors
    /// As [`Groups::new`].
    pub fn columns(inputs: usize, columns: &[usize]) -> Result<Self> {
        Self::new(inputs, &columns.iter().map(|j| vec![(*j, 1.0)]).collect::<Vec<_>>())
    }

    /// The inputs that a mask says are seen: inpainting. See [`super::box_mask`] and [`super::random_mask`].
    ///
    /// # Errors
    /// As [`Groups::new`]: for a mask that hides everything.
    pub fn mask(seen: &[bool]) -> Result<Self> {
        let columns: Vec<usize> = (0..seen.len()).filter(|j| seen[*j]).collect();
        Self::columns(seen.len(), &columns)
    }

    /// The grey values of an image `[C, H, W]`: colourisation.
    ///
    /// # Errors
    /// As [`Groups::new`]; for luma of another number of channels than three.
    pub fn grey([channels, height, width]: [usize; 3], grey: Grey) -> Result<Self> {
        let weights = match grey {
            Grey::Mean => vec![1.0 / channels.max(1) as f64; channels],
            Grey::Luma if channels == 3 => vec![0.299, 0.587, 0.114],
            Grey::Luma => return refuse("channels", channels, "luma is of red, green and blue"),
        };
        let pixels = height * width;
        let group =
            |p: usize| weights.iter().enumerate().map(|(c, w)| (c * pixels + p, *w)).collect();
        Self::new(channels * pixels, &(0..pixels).map(group).collect::<Vec<_>>())
    }

    /// Means over blocks of `factor` by `factor` pixels of an image `[C, H, W]`: super-resolution.
    ///
    /// # Errors
    /// [`sde_core::Error::Parameter`] for a factor that does not divide height and width.
    pub fn block_average([channels, height, width]: [usize; 3], factor: usize) -> Result<Self> {
        if factor == 0 || height % factor != 0 || width % factor != 0 {
            return refuse("factor", factor, format!("must divide {height} and {width}"));
        }
        let (rows, columns, w) = (height / factor, width / factor, 1.0 / (factor * factor) as f64);
        let group = |i: usize| {
            let (c, row, column) = (i / (rows * columns), i / columns % rows, i % columns);
            let corner = (c * height + row * factor) * width + column * factor;
            let pixel = |k: usize| (corner + k / factor * width + k % factor, w);
            (0..factor * factor).map(pixel).collect()
        };
        let n = channels * rows * columns;
        Self::new(channels * height * width, &(0..n).map(group).collect::<Vec<_>>())
    }

    fn groups(&self) -> impl Iterator<Item = &[(usize, f64)]> {
        self.starts.windows(2).map(|w| &self.members[w[0]..w[1]])
    }
}

impl Linear for Groups {
    fn input_len(&self) -> usize {
        self.inputs
    }

    fn output_len(&self) -> usize {
        self.norms.len()
    }

    fn forward(&self, x: &[f64], y: &mut [f64]) {
        for (y, group) in y.iter_mut().zip(self.groups()) {
            *y = group.iter().map(|(j, w)| w * x[*j]).sum();
        }
    }

    fn adjoint(&self, y: &[f64], x: &mut [f64]) {
        x.fill(0.0);
        for (y, group) in y.iter().zip(self.groups()) {
            group.iter().for_each(|(j, w)| x[*j] = w * y);
        }
    }

    fn singular_values(&self) -> &[f64] {
        &self.norms
    }

    fn right_coefficients(&self, x: &[f64], c: &mut [f64]) {
        self.forward(x, c);
        c.iter_mut().zip(&self.norms).for_each(|(c, n)| *c /= n);
    }

    fn expand_right(&self, c: &[f64], x: &mut [f64]) {
        x.fill(0.0);
        for ((c, n), group) in c.iter().zip(&self.norms).zip(self.groups()) {
            group.iter().for_each(|(j, w)| x[*j] = w * c / n);
        }
    }

    fn left_coefficients(&self, y: &[f64], c: &mut [f64]) {
        c.copy_from_slice(y);
    }

    fn expand_left(&self, c: &[f64], y: &mut [f64]) {
        y.copy_from_slice(c);
    }
}
