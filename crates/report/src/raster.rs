//! Pictures from arrays, and PNG files from drawings.

use std::sync::{Arc, OnceLock};

use image::ImageEncoder as _;
use ndarray::{Array2, ArrayView2};
use resvg::{tiny_skia, usvg};

use crate::colour::Map;
use crate::error::{Error, Result};

/// A PNG of `values` (row 0 at the bottom), one pixel an entry; `lo..hi` spans the map.
///
/// # Errors
/// When the encoder fails.
pub fn heat_png(values: ArrayView2<f64>, map: Map, lo: f64, hi: f64) -> Result<Vec<u8>> {
    let (height, width) = values.dim();
    let pixels: Vec<u8> = values
        .rows()
        .into_iter()
        .rev()
        .flat_map(|row| row.iter().flat_map(|v| map.rgb((v - lo) / (hi - lo))).collect::<Vec<_>>())
        .collect();
    let mut png = Vec::new();
    image::codecs::png::PngEncoder::new(&mut png)
        .write_image(&pixels, width as u32, height as u32, image::ExtendedColorType::Rgb8)
        .map_err(|source| Error::HeatMap { width, height, source })?;
    Ok(png)
}

/// A PNG of the map itself, largest value on top: what a colour bar shows.
///
/// # Errors
/// When the encoder fails.
pub fn bar_png(map: Map) -> Result<Vec<u8>> {
    heat_png(Array2::from_shape_fn((128, 1), |(k, _)| k as f64 / 127.0).view(), map, 0.0, 1.0)
}

/// Renders a drawing at `zoom` times its size on white, with the embedded typeface only: the
/// picture is the same on every machine.
pub(crate) fn render(svg: &str, zoom: f32) -> Result<Vec<u8>> {
    static FONTS: OnceLock<Arc<usvg::fontdb::Database>> = OnceLock::new();
    let fonts = FONTS.get_or_init(|| {
        let mut db = usvg::fontdb::Database::new();
        db.load_font_data(dejavu::sans::regular().to_vec());
        db.load_font_data(dejavu::sans::bold().to_vec());
        db.set_sans_serif_family("DejaVu Sans");
        Arc::new(db)
    });
    let options = usvg::Options {
        fontdb: fonts.clone(),
        font_family: "DejaVu Sans".into(),
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(svg, &options)?;
    let (width, height) = (tree.size().width(), tree.size().height());
    let size = tree.size().to_int_size().scale_by(zoom);
    let pixels = size.and_then(|s| tiny_skia::Pixmap::new(s.width(), s.height()));
    let mut pixels = pixels.ok_or(Error::Size { width, height, zoom })?;
    pixels.fill(tiny_skia::Color::WHITE);
    resvg::render(&tree, tiny_skia::Transform::from_scale(zoom, zoom), &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| Error::Figure(e.to_string()))
}
