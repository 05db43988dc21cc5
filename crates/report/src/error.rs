//! What can fail: pictures.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A heat map that the PNG encoder refused.
    #[error("encoding a heat map of {width} x {height} pixels: {source}")]
    HeatMap {
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
        /// What the encoder said.
        source: image::ImageError,
    },
    /// A drawing that is no valid SVG.
    #[error("reading a figure back: {0}")]
    Svg(#[from] resvg::usvg::Error),
    /// A drawing that has no pixels, or too many, at the size asked for.
    #[error("a figure of {width} x {height} at {zoom} times its size cannot be drawn")]
    Size {
        /// Width of the drawing.
        width: f32,
        /// Height of the drawing.
        height: f32,
        /// How many times its size was asked for.
        zoom: f32,
    },
    /// A rendered figure that the PNG encoder refused.
    #[error("encoding a figure: {0}")]
    Figure(String),
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
