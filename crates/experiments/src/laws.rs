//! Laws on the tiles of a window, without a sample, and what lies between two of them.

use anyhow::Result;
use fp_residual::fokker_planck::{Characteristics, Density, Grid};
use metrics::{BracketOptions, CellMasses, OnCells, W2Bracket};
use ndarray::{Array2, s};
use sde_core::analytic::DataSet;
use sde_core::{ScoreJvp, Sde};
use serde::{Deserialize, Serialize};

use crate::distance::Window;

/// Sub-cells along the side of a tile, for laws whose density is known.
pub(crate) const SUB_CELLS: usize = 4;

/// A log-density that stands for minus infinity, where values must be finite.
const NOTHING: f64 = -700.0;

/// A value and its estimated error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Found {
    #[serde(with = "crate::number")]
    pub(crate) value: f64,
    #[serde(with = "crate::number")]
    pub(crate) error: f64,
}

/// Square tiles, of which the cell around each node of a window is a union.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tiles {
    window: Window,
    /// Along the side of a node's cell: one or two.
    split: usize,
}

impl Tiles {
    /// The cells around the nodes themselves, which reach half a cell beyond the outermost nodes.
    pub(crate) fn whole(window: Window) -> Self {
        Self { window, split: 1 }
    }

    /// Tiles of half the distance of the nodes, which end with the outermost nodes.
    pub(crate) fn halves(window: Window) -> Self {
        Self { window, split: 2 }
    }

    /// Along an axis.
    pub(crate) fn n(self) -> usize {
        let nodes = self.window.nodes;
        if self.split == 1 { nodes } else { 2 * (nodes - 1) }
    }

    pub(crate) fn side(self) -> f64 {
        let Window { half_width, nodes } = self.window;
        2.0 * half_width / (self.split * (nodes - 1)) as f64
    }

    /// Where the first tile begins, along both axes.
    fn origin(self) -> f64 {
        -0.5 * self.side() * self.n() as f64
    }

    /// Nodes in the middles of the tiles, with a ring more than there are, since the outermost cells of a grid are halves.
    pub(crate) fn grid(self) -> Result<Grid> {
        let reach = -self.origin() + 0.5 * self.side();
        Ok(Grid::new(2, -reach, reach, self.n() + 2)?)
    }

    /// A density on this grid as the masses of tiles, and as what is counted on the nodes.
    pub(crate) fn laid(self, density: &Density) -> Result<Laid> {
        let (n, side, origin) = (self.n(), self.side(), self.origin());
        let all = Array2::from_shape_vec((n + 2, n + 2), density.cells.clone())?;
        // Rounding and extrapolation leave a hair below zero where there is nothing.
        let tiles = all.slice(s![1..=n, 1..=n]).mapv(|mass| mass.max(0.0));
        let masses = CellMasses::plane([origin; 2], [side; 2], tiles.view())?;
        let on_nodes = if self.split == 1 {
            masses.clone()
        } else {
            let nodes = self.window.nodes;
            let mut counted = Array2::zeros((nodes, nodes));
            for ((i, j), mass) in tiles.indexed_iter() {
                counted[[i.div_ceil(2), j.div_ceil(2)]] += mass;
            }
            CellMasses::plane([origin - side; 2], [2.0 * side; 2], counted.view())?
        };
        let error = density.total_variation_error;
        Ok(Laid { outside: Found { value: 1.0 - tiles.sum(), error }, side, masses, on_nodes })
    }
}

/// A law on tiles.
#[derive(Clone, Debug)]
pub(crate) struct Laid {
    /// Its probability outside of them; the error is that of the law in total variation.
    pub(crate) outside: Found,
    pub(crate) masses: CellMasses,
    pub(crate) on_nodes: CellMasses,
    side: f64,
}

impl Laid {
    /// The estimated error in total variation of the law on the tiles alone.
    fn error(&self) -> f64 {
        self.outside.error / (1.0 - self.outside.value)
    }
}

/// What lies between two laws, both conditioned on the tiles.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Between {
    pub(crate) total_variation: Found,
    /// `KL(first | second)` in nats.
    pub(crate) kl: Found,
    /// `KL(second | first)`.
    pub(crate) reverse_kl: Found,
    /// Squared W2 of what is counted on the nodes.
    #[serde(with = "crate::number")]
    pub(crate) on_nodes: f64,
    /// Squared W2 of the laws that are constant on tiles, from below and from above.
    pub(crate) bracket: W2Bracket,
    /// What the errors of both laws are in W2 where they lie between neighbouring tiles: of a law that is wrong by `e` in total
    /// variation, `side sqrt(e)`.
    #[serde(with = "crate::number")]
    pub(crate) margin: f64,
}

impl Between {
    /// What lies between two laws, the bracket as narrow as `options` say.
    pub(crate) fn of(a: &Laid, b: &Laid, options: BracketOptions) -> Result<Self> {
        Self::narrowed(a, b, |_| options)
    }

    /// The same; of laws that are one within their errors the bracket is not narrowed down.
    pub(crate) fn unless_one(a: &Laid, b: &Laid, options: BracketOptions) -> Result<Self> {
        let width = |tv: Found| if tv.value <= tv.error { 1.0 } else { options.width };
        Self::narrowed(a, b, |tv| BracketOptions { width: width(tv), ..options })
    }

    fn narrowed(a: &Laid, b: &Laid, options: impl Fn(Found) -> BracketOptions) -> Result<Self> {
        let found = a.masses.divergences(&b.masses)?;
        let of = |cells: OnCells| Found { value: cells.extrapolated(), error: cells.error() };
        let cells = of(found.total_variation);
        // What the solutions are wrong by is added to what the cells leave out.
        let total_variation = Found { error: cells.error + a.error() + b.error(), ..cells };
        Ok(Self {
            total_variation,
            kl: of(found.kl),
            reverse_kl: of(found.reverse_kl),
            on_nodes: a.on_nodes.w2_nodes(&b.on_nodes)?.squared,
            bracket: a.masses.w2_bracket(&b.masses, options(total_variation))?,
            margin: [a, b].iter().map(|law| law.side * law.error().max(0.0).sqrt()).sum(),
        })
    }

    /// Squared W2 from below and from above, with what the laws are wrong by.
    pub(crate) fn squared(&self) -> [f64; 2] {
        let [low, high] = [self.bracket.lower, self.bracket.upper].map(|w| w.max(0.0).sqrt());
        [(low - self.margin).max(0.0).powi(2), (high + self.margin).powi(2)]
    }
}

/// The law of the data.
pub(crate) fn truth(grid: &Grid, set: DataSet) -> Result<Density> {
    let log = |x: &Array2<f64>| {
        Ok(set.log_density(x)?.into_iter().map(|value| value.max(NOTHING)).collect())
    };
    Ok(Density::known(grid, 0.0, SUB_CELLS, log)?)
}

/// Times that the sides of cells are halved at most, and the steps of paths.
const HALVINGS: (usize, u32) = (31, 5);

/// The law of the flow at the time of the data, along its paths, to this estimated error in total variation, or what the numbers of
/// the network allow.
pub(crate) fn flow(
    sde: &dyn Sde,
    score: &dyn ScoreJvp<Array2<f64>>,
    grid: &Grid,
    tolerance: f64,
) -> Result<Density> {
    let (sides, halvings) = HALVINGS;
    let paths = Characteristics { tolerance: 0.1 * tolerance, halvings };
    Ok(paths.cells(sde, score, grid, 0.0, (tolerance, sides))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cells around the nodes of the published histograms, and half of them; both hold the whole of the data.
    #[test]
    fn tiles_hold_the_data() -> Result<()> {
        let window = Window { half_width: 3.5, nodes: 64 };
        for tiles in [Tiles::whole(window), Tiles::halves(window)] {
            let laid = tiles.laid(&truth(&tiles.grid()?, DataSet::Checker)?)?;
            assert!(laid.outside.value.abs() < 1e-3, "{:?}", laid.outside);
            assert_eq!(laid.on_nodes.shares().dim(), (64, 64));
            let width = laid.masses.spacing()[0] * tiles.n() as f64;
            assert!((width - 7.0 - if tiles.split == 1 { 1.0 / 9.0 } else { 0.0 }).abs() < 1e-12);
            // A quarter of the plane has a quarter of the mass, cut through the middle of a node's cell or not.
            let half = laid.masses.shares().nrows() / 2;
            let quarter = laid.masses.shares().slice(s![..half, ..half]).sum();
            assert!((quarter - 0.25).abs() < 1e-3, "{quarter}");
        }
        Ok(())
    }

    /// A law that is known badly widens the bracket by what moves its error to the next tile.
    #[test]
    fn errors_of_the_laws_widen_the_bracket() -> Result<()> {
        let tiles = Tiles::whole(Window { half_width: 3.5, nodes: 15 });
        let mut known = truth(&tiles.grid()?, DataSet::Blob)?;
        known.total_variation_error = 0.0;
        let moved = Density { total_variation_error: 0.04, ..known.clone() };
        let [a, b] = [tiles.laid(&known)?, tiles.laid(&moved)?];
        let found = Between::of(&a, &b, BracketOptions::default())?;
        assert_eq!(found.bracket.upper, 0.0);
        let inside = 1.0 - b.outside.value;
        assert!((found.squared()[1] - 0.25 * 0.04 / inside).abs() < 1e-12, "{found:?}");
        assert_eq!(found.squared()[0], 0.0);
        Ok(())
    }
}
