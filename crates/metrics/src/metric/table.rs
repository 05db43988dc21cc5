//! The entries: name, what is said of it, and how it is computed.

use super::Info;
use super::Parameter::{Bandwidth, Offset, Plan, Power, Projections, Seed, Unbiased};
use super::evaluate::{cells, gaussian, kernels, slices, transport};

macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal: $info:expr;)*) => {
        /// Every metric there is.
        ///
        /// ```
        /// use metrics::Metric;
        /// assert_eq!(Metric::parse("w2")?, Metric::W2);
        /// assert!(Metric::ALL.iter().all(|m| Metric::parse(m.name()).unwrap() == *m));
        /// # Ok::<(), metrics::Error>(())
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Metric {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Metric {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name [`Metric::parse`] knows it by.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it is, in a line.
            #[must_use]
            pub fn summary(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),+).trim_ascii(),)*
                }
            }

            /// What is said of it, and held by tests.
            #[must_use]
            pub fn info(self) -> &'static Info {
                match self {
                    $(Self::$variant => const { &$info },)*
                }
            }
        }
    };
}

metrics! {
    // Optimal transport.
    /// Exact Wasserstein-2 distance, with the dual value that proves it.
    W2 "w2":
        Info::new(
            "W2 = (min_pi sum_ij pi_ij |x_i - y_j|^2)^(1/2)",
            "Peyre, Cuturi 2019, arXiv 1803.00567",
        )
        .aliases(&["wasserstein-2"])
        .weighted(transport::w2)
        .histograms(transport::grid_w2)
        .parameters(&[Plan])
        .cost("about n^2 or less; on a grid of n x n nodes about n^3")
        .error("dual potentials (del Barrio, Loubes 2019)");
    /// Exact Wasserstein-1 distance, with the dual value that proves it.
    W1 "w1":
        Info::new(
            "W1 = min_pi sum_ij pi_ij |x_i - y_j|",
            "Peyre, Cuturi 2019, arXiv 1803.00567",
        )
        .aliases(&["wasserstein-1", "emd"])
        .weighted(transport::w1)
        .parameters(&[Plan])
        .cost("about n^2 or less")
        .error("dual potentials (Hundrieser et al. 2022)");
    /// Sliced Wasserstein distance: exact transport along random directions.
    Sliced "sliced":
        Info::new(
            "SW_p = (mean_k W_p^p(theta_k.x, theta_k.y))^(1/p)",
            "Bonneel et al. 2015",
        )
        .aliases(&["sw"])
        .weighted(slices::sliced)
        .parameters(&[Power, Projections, Seed])
        .cost("K n (D + log n) for K directions")
        .error("potentials along each direction");

    // Moments.
    /// Squared Frechet distance of the means and covariances (FID).
    Frechet "frechet":
        Info::new(
            "|m1 - m2|^2 + tr(C1 + C2 - 2 (C1^(1/2) C2 C1^(1/2))^(1/2))",
            "Heusel et al. 2017, arXiv 1706.08500, equation 6",
        )
        .aliases(&["fid", "gaussian"])
        .clouds(gaussian::frechet)
        .cost("n D^2 + D^3")
        .error("potentials of the Gaussians (delta method)");

    // Kernels.
    /// Squared maximum mean discrepancy under a Gaussian kernel.
    Mmd "mmd":
        Info::new(
            "E k(x,x') + E k(y,y') - 2 E k(x,y), k = exp(-|x-y|^2 / (2 s^2))",
            "Gretton et al. 2012",
        )
        .aliases(&["mmd-rbf"])
        .clouds(kernels::rbf)
        .parameters(&[Bandwidth, Unbiased])
        .cost("n^2 D")
        .error("variance of the U-statistic (Serfling 1980)");
    /// Squared maximum mean discrepancy under an inverse multiquadric kernel.
    MmdImq "mmd-imq":
        Info::new(
            "E k(x,x') + E k(y,y') - 2 E k(x,y), k = (c^2 + |x-y|^2)^(-1/2)",
            "Gretton et al. 2012",
        )
        .clouds(kernels::imq)
        .parameters(&[Offset, Unbiased])
        .cost("n^2 D")
        .error("variance of the U-statistic (Serfling 1980)");
    /// Energy distance, in its squared form.
    Energy "energy":
        Info::new(
            "2 E|x-y| - E|x-x'| - E|y-y'|",
            "Szekely, Rizzo 2013",
        )
        .clouds(kernels::energy)
        .parameters(&[Unbiased])
        .cost("n^2 D")
        .error("variance of the U-statistic (Serfling 1980)");

    // Histograms.
    /// Total variation of two histograms.
    TotalVariation "tv":
        Info::new(
            "1/2 sum_i |a_i - b_i|",
            "Levin, Peres 2017, proposition 4.2",
        )
        .aliases(&["total-variation"])
        .histograms(cells::total_variation)
        .cost("the number of cells")
        .error("multinomial counts (delta method)");
}
