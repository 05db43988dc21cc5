//! What is found: densities, and how they evolve.

use super::Grid;

/// The density of a sampler at one time, on the nodes of a [`Grid`] and the cells around them.
///
/// # Shapes
/// All but `t` and `total_variation_error`: one value a node, the last axis fastest.
#[derive(Clone, Debug)]
pub struct Density {
    /// The time.
    pub t: f64,
    /// The probability of every cell.
    pub cells: Vec<f64>,
    /// Its estimated error, absolute.
    pub cells_error: Vec<f64>,
    /// The natural logarithm of the density at every node.
    pub log_density: Vec<f64>,
    /// Its estimated error, absolute.
    pub log_density_error: Vec<f64>,
    /// The estimated error of the whole in total variation: half the sum of the errors of cells.
    pub total_variation_error: f64,
}

impl Density {
    /// The probability of the box.
    pub fn mass(&self) -> f64 {
        self.cells.iter().sum()
    }

    /// Half the sum of the differences of the probabilities of cells: the total variation of two laws that are the same
    /// outside the box, neither normalised to it.
    pub fn total_variation(&self, other: &Self) -> f64 {
        let differences = self.cells.iter().zip(&other.cells).map(|(a, b)| (a - b).abs());
        0.5 * differences.sum::<f64>()
    }
}

/// How the density of a sampler evolves from the prior on.
#[derive(Clone, Debug)]
pub struct Evolution {
    /// Where.
    pub grid: Grid,
    /// At the times asked for.
    pub densities: Vec<Density>,
    /// At the same times the integral of `q |grad log q - s|^2` over the box: the square of the norm of
    /// `grad r`, `r = log q - phi`, which is how far the samplers of different `eta` move apart
    /// (`v_eta - v_0 = (eta^2 g^2 / 2) grad r`).
    pub score_gap: Vec<f64>,
    /// Its estimated error, absolute.
    pub score_gap_error: Vec<f64>,
    /// At the same times the mass that has left the box and its margin.
    pub left: Vec<f64>,
    /// How well mass is accounted for: the largest deviation of what is inside and what left from what there was at the
    /// start, of every resolution.
    pub imbalance: f64,
    /// The prior's mass outside of box and margin, which is not followed.
    pub outside_at_start: f64,
    /// What was added where an implicit step fell below zero.
    pub clipped: f64,
    /// Cells a spacing and steps of the resolutions that were extrapolated, the finest last.
    pub resolutions: Vec<(usize, usize)>,
}

impl Evolution {
    /// The density at the last time.
    pub fn last(&self) -> &Density {
        self.densities.last().expect("an evolution has a time at least")
    }

    /// The largest estimated error in total variation of all times.
    pub fn error(&self) -> f64 {
        self.densities.iter().map(|d| d.total_variation_error).fold(0.0, f64::max)
    }
}
