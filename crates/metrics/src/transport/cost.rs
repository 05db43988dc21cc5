//! Ground costs.

/// What it costs to move a unit of mass from x to y.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroundCost {
    /// $c(x, y) = \lVert x - y \rVert^2$: the optimal value is $W_2^2$.
    SquaredEuclidean,
    /// $c(x, y) = \lVert x - y \rVert$: the optimal value is $W_1$.
    Euclidean,
}

impl GroundCost {
    /// The cost of a pair of points.
    #[must_use]
    pub fn between(self, x: &[f64], y: &[f64]) -> f64 {
        let mut sum = 0.0;
        for (&p, &q) in x.iter().zip(y) {
            sum += (p - q) * (p - q);
        }
        self.of_squared(sum)
    }

    /// The cost at a given squared distance.
    #[must_use]
    pub fn of_squared(self, squared: f64) -> f64 {
        match self {
            Self::SquaredEuclidean => squared,
            Self::Euclidean => squared.sqrt(),
        }
    }
}
