//! Mean and covariance of a sample, as a factor of the centred rows.

use faer::Mat;
use ndarray::{Array1, Array2, ArrayView2, Axis};

/// A sample as rows $m + (N - 1)^{1/2} Q L^\top$ with orthonormal columns of Q, so that its covariance is
/// $L L^\top$ and never formed.
pub(crate) struct Spread {
    pub(crate) mean: Array1<f64>,
    /// The rows less the mean.
    pub(crate) centred: Array2<f64>,
    /// Q, `[N, R]`; `None` is the identity.
    q: Option<Mat<f64>>,
    /// L, `[D, R]`
    pub(crate) l: Mat<f64>,
}

impl Spread {
    /// Of two rows at least.
    pub(crate) fn new(cloud: ArrayView2<f64>) -> Self {
        let (n, d) = cloud.dim();
        let mean = cloud.sum_axis(Axis(0)) / n as f64;
        // What rounding of the sum leaves.
        let rest = (&cloud - &mean).sum_axis(Axis(0)) / n as f64;
        let mean = mean + rest;
        let centred = &cloud - &mean;
        let scale = ((n - 1) as f64).sqrt();
        let (q, l) = if n > d {
            let qr = Mat::from_fn(n, d, |i, j| centred[[i, j]] / scale).qr();
            (Some(qr.compute_thin_Q()), qr.thin_R().transpose().to_owned())
        } else {
            (None, Mat::from_fn(d, n, |i, j| centred[[j, i]] / scale))
        };
        Self { mean, centred, q, l }
    }

    /// For every centred row $x = (N - 1)^{1/2} L q$ the vector $(N - 1)^{1/2} A q$, of a matrix A of the
    /// shape of L; `[N, D]`.
    pub(crate) fn mapped(&self, a: &Mat<f64>) -> Array2<f64> {
        let (n, d) = self.centred.dim();
        let found = match &self.q {
            Some(q) => q * a.transpose(),
            None => a.transpose().to_owned(),
        };
        let scale = ((n - 1) as f64).sqrt();
        Array2::from_shape_fn((n, d), |(i, k)| scale * found[(i, k)])
    }
}

/// The difference of two means without what is but rounding of the coordinates.
pub(crate) fn shift(x: &Spread, y: &Spread) -> Array1<f64> {
    let size = |of: &Spread, k: usize| {
        of.centred.column(k).iter().fold(of.mean[k].abs(), |most: f64, v| most.max(v.abs()))
    };
    Array1::from_shape_fn(x.mean.len(), |k| {
        let difference = x.mean[k] - y.mean[k];
        let rounding = 4.0 * f64::EPSILON * size(x, k).max(size(y, k));
        if difference.abs() > rounding { difference } else { 0.0 }
    })
}
