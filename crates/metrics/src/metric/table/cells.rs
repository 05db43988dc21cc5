//! Histograms cell by cell.

use crate::error::Result;
use crate::histogram::{Histogram2d, HistogramDivergence};
use crate::metric::{Measured, Options};

macro_rules! divergences {
    ($($name:ident $which:ident)*) => {
        $(
            pub(in crate::metric) fn $name(
                x: &Histogram2d,
                y: &Histogram2d,
                options: &Options,
            ) -> Result<Measured> {
                divergence(x, y, options, HistogramDivergence::$which)
            }
        )*
    };
}

divergences! {
    total_variation TotalVariation
    l1 L1
    kullback_leibler Kl
    jensen_shannon JensenShannon
    hellinger Hellinger
}

fn divergence(
    x: &Histogram2d,
    y: &Histogram2d,
    options: &Options,
    which: HistogramDivergence,
) -> Result<Measured> {
    let found = x.divergence(y, which)?;
    // A histogram of weights has an error too, which nobody knows.
    let known = x.n_kept().is_some() && y.n_kept().is_some();
    Ok(Measured::estimate(found, &Options { errors: options.errors && known, ..*options }))
}
