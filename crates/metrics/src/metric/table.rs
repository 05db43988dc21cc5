//! The entries of the registry: name, properties, and how the metric is computed, one file a family.

mod cells;
mod kernels;
mod likelihood;
mod moments;
mod neighbours;
mod slices;
mod transport;

use super::Info;
use super::Parameter::{
    Bandwidth, Degree, Dimension, Epsilon, Exponent, Iterations, Neighbours, Offset, Plan, Power,
    Projections, Seed, SubsetSize, Subsets, Tolerance, Unbiased,
};

macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal: $info:expr;)*) => {
        /// The metrics, by name.
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

            /// Formula, parameters, cost, standard error and reference.
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
        .degree(1.0)
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
        .degree(1.0)
        .cost("about n^2 or less")
        .error("dual potentials (Hundrieser et al. 2022)");
    /// Debiased Sinkhorn divergence: transport smoothed by entropy.
    Sinkhorn "sinkhorn":
        Info::new(
            "OT_e(x,y) - OT_e(x,x)/2 - OT_e(y,y)/2, OT_e = min_pi sum_ij pi_ij |x_i - y_j|^2 + e KL(pi, a x b)",
            "Feydy et al. 2019, arXiv 1810.08278",
        )
        .weighted(transport::sinkhorn)
        .parameters(&[Epsilon, Tolerance, Iterations])
        .degree(2.0)
        .cost("n^2 D a step")
        .error("entropic potentials (Gonzalez-Sanz et al. 2022)");
    /// Sliced Wasserstein distance: exact transport along random directions.
    Sliced "sliced":
        Info::new(
            "SW_p = (mean_k W_p^p(theta_k.x, theta_k.y))^(1/p)",
            "Bonneel et al. 2015",
        )
        .aliases(&["sw"])
        .weighted(slices::sliced)
        .parameters(&[Power, Projections, Seed])
        .degree(1.0)
        .cost("K n (D + log n) for K directions")
        .error("potentials along each direction");
    /// Max-sliced Wasserstein distance: along the direction in which it is largest.
    MaxSliced "max-sliced":
        Info::new(
            "max_theta W_p(theta.x, theta.y), |theta| = 1",
            "Deshpande et al. 2019, arXiv 1904.05877",
        )
        .weighted(slices::max_sliced)
        .parameters(&[Power, Projections, Seed])
        .degree(1.0)
        .cost("K n (D + log n) for K starts, as much a step")
        .error("potentials along that direction");

    // Moments.
    /// Squared Frechet distance of the means and covariances (FID).
    Frechet "frechet":
        Info::new(
            "|m1 - m2|^2 + tr(C1 + C2 - 2 (C1^(1/2) C2 C1^(1/2))^(1/2))",
            "Heusel et al. 2017, arXiv 1706.08500, equation 6",
        )
        .aliases(&["fid", "gaussian"])
        .clouds(moments::frechet)
        .degree(2.0)
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
    /// The same under the mean of five Gaussian kernels of widths s/4 to 4s.
    MmdMixture "mmd-mixture":
        Info::new(
            "E k(x,x') + E k(y,y') - 2 E k(x,y), k = mean_l exp(-|x-y|^2 / (2 s_l^2))",
            "Li, Swersky, Zemel 2015, arXiv 1502.02761",
        )
        .clouds(kernels::mixture)
        .parameters(&[Bandwidth, Unbiased])
        .cost("n^2 D")
        .error("variance of the U-statistic (Serfling 1980)");
    /// The same under a Gaussian kernel in linear time, with far more noise.
    MmdLinear "mmd-linear":
        Info::new(
            "mean_i k(x_2i-1,x_2i) + k(y_2i-1,y_2i) - k(x_2i-1,y_2i) - k(x_2i,y_2i-1)",
            "Gretton et al. 2012, section 6",
        )
        .clouds(kernels::linear)
        .parameters(&[Bandwidth])
        .cost("n D")
        .error("mean of independent terms");
    /// The same under an inverse multiquadric kernel.
    MmdImq "mmd-imq":
        Info::new(
            "E k(x,x') + E k(y,y') - 2 E k(x,y), k = (c^2 + |x-y|^2)^(-1/2)",
            "Gretton et al. 2012",
        )
        .clouds(kernels::imq)
        .parameters(&[Offset, Unbiased])
        .degree(-1.0)
        .cost("n^2 D")
        .error("variance of the U-statistic (Serfling 1980)");
    /// The same under a polynomial kernel.
    MmdPolynomial "mmd-polynomial":
        Info::new(
            "E k(x,x') + E k(y,y') - 2 E k(x,y), k = (x.y / D + 1)^degree",
            "Gretton et al. 2012",
        )
        .clouds(kernels::polynomial)
        .parameters(&[Degree, Unbiased])
        .scaled()
        .cost("n^2 D")
        .error("variance of the U-statistic (Serfling 1980)");
    /// Kernel inception distance: the unbiased one under the cubic kernel.
    Kid "kid":
        Info::new(
            "E k(x,x') + E k(y,y') - 2 E k(x,y), k = (x.y / D + 1)^3",
            "Binkowski et al. 2018, arXiv 1801.01401",
        )
        .clouds(kernels::kid)
        .parameters(&[Subsets, SubsetSize, Seed])
        .scaled()
        .cost("n^2 D")
        .error("variance of the U-statistic (Serfling 1980)");
    /// Energy distance, in its squared form.
    Energy "energy":
        Info::new(
            "2 E|x-y|^a - E|x-x'|^a - E|y-y'|^a, a = 1",
            "Szekely, Rizzo 2013",
        )
        .clouds(kernels::energy)
        .parameters(&[Exponent, Unbiased])
        .degree(1.0)
        .cost("n^2 D")
        .error("variance of the U-statistic (Serfling 1980)");

    // Neighbours and classifiers.
    /// Share of A within the balls of B that reach the k-th neighbour.
    Precision "precision":
        Info::new(
            "mean_i 1{x_i in some B_k(y_j)}",
            "Kynkaanniemi et al. 2019, arXiv 1904.06991",
        )
        .clouds(neighbours::precision)
        .parameters(&[Neighbours])
        .cost("n^2 D")
        .subsampled();
    /// Share of B within the balls of A that reach the k-th neighbour.
    Recall "recall":
        Info::new(
            "mean_j 1{y_j in some B_k(x_i)}",
            "Kynkaanniemi et al. 2019, arXiv 1904.06991",
        )
        .clouds(neighbours::recall)
        .parameters(&[Neighbours])
        .cost("n^2 D")
        .subsampled();
    /// Balls of B that a point of A is in, over k.
    Density "density":
        Info::new(
            "mean_i sum_j 1{x_i in B_k(y_j)} / k",
            "Naeem et al. 2020, arXiv 2002.09797",
        )
        .clouds(neighbours::density)
        .parameters(&[Neighbours])
        .cost("n^2 D")
        .subsampled();
    /// Share of the balls of B that hold a point of A.
    Coverage "coverage":
        Info::new(
            "mean_j 1{some x_i in B_k(y_j)}",
            "Naeem et al. 2020, arXiv 2002.09797",
        )
        .clouds(neighbours::coverage)
        .parameters(&[Neighbours])
        .cost("n^2 D")
        .subsampled();
    /// Share of A further from the nearest row of B, the training rows, than that one is from its own nearest.
    Authenticity "authenticity":
        Info::new(
            "mean_i 1{|x_i - y_j| > min_k |y_j - y_k|}, y_j nearest to x_i, k != j",
            "Alaa et al. 2022, arXiv 2102.08921",
        )
        .clouds(neighbours::authenticity)
        .cost("n^2 D")
        .subsampled();
    /// Classifier two-sample test: held-out accuracy of nearest neighbours.
    ClassifierNearest "c2st-nearest":
        Info::new(
            "share of held-out points that are told right; 1/2 for equal laws",
            "Lopez-Paz, Oquab 2017, arXiv 1610.06545",
        )
        .clouds(neighbours::nearest)
        .parameters(&[Neighbours, Seed])
        .cost("n^2 D")
        .error("binomial, classifier as given")
        .subsampled();
    /// The same of a logistic regression on coordinates, squares and products.
    ClassifierLogistic "c2st-logistic":
        Info::new(
            "share of held-out points that are told right; 1/2 for equal laws",
            "Lopez-Paz, Oquab 2017, arXiv 1610.06545",
        )
        .clouds(neighbours::logistic)
        .parameters(&[Seed])
        .cost("n D^4 or less")
        .error("binomial, classifier as given")
        .subsampled();

    // Histograms.
    /// Total variation of two histograms.
    TotalVariation "tv":
        Info::new("1/2 sum_i |a_i - b_i|", "Levin, Peres 2017, proposition 4.2")
        .aliases(&["total-variation"])
        .histograms(cells::total_variation)
        .cost("the number of cells")
        .error("multinomial counts (delta method)");
    /// L1 distance of two histograms, twice the total variation.
    L1 "l1":
        Info::new("sum_i |a_i - b_i|", "Levin, Peres 2017, proposition 4.2")
        .histograms(cells::l1)
        .cost("the number of cells")
        .error("multinomial counts (delta method)");
    /// Kullback-Leibler divergence of A from B, in nats.
    KullbackLeibler "kl":
        Info::new("sum_i a_i log(a_i / b_i)", "Kullback, Leibler 1951")
        .histograms(cells::kullback_leibler)
        .unbounded()
        .cost("the number of cells")
        .error("multinomial counts (delta method)");
    /// Jensen-Shannon divergence of two histograms, in nats.
    JensenShannon "js":
        Info::new("(KL(a, m) + KL(b, m)) / 2, m = (a + b) / 2", "Lin 1991")
        .histograms(cells::jensen_shannon)
        .cost("the number of cells")
        .error("multinomial counts (delta method)");
    /// Hellinger distance of two histograms.
    Hellinger "hellinger":
        Info::new("(1/2 sum_i (a_i^(1/2) - b_i^(1/2))^2)^(1/2)", "Hellinger 1909")
        .histograms(cells::hellinger)
        .cost("the number of cells")
        .error("multinomial counts (delta method)");

    // Likelihoods.
    /// Mean log-density of held-out points; of two models the mean of the differences.
    LogLikelihood "log-likelihood":
        Info::new("mean_i log p(x_i), or mean_i log p(x_i) - log q(x_i)", "Theis et al. 2016, arXiv 1511.01844")
        .log_densities(likelihood::mean)
        .parameters(&[Dimension])
        .degree(1.0)
        .cost("n log n")
        .error("mean of independent terms");
}
