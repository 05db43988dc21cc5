//! Pictures from arrays, and PNG files from drawings.

use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result};
use image::ImageEncoder as _;
use ndarray::Array2;
use resvg::{tiny_skia, usvg};

use super::colormap::Map;

/// A PNG of `values` (row 0 at the bottom), one pixel an entry; `lo..hi` spans the map.
///
/// # Errors
/// When the encoder fails.
pub(crate) fn heat_png(values: &Array2<f64>, map: Map, lo: f64, hi: f64) -> Result<Vec<u8>> {
    let (h, w) = values.dim();
    let mut pixels = Vec::with_capacity(3 * w * h);
    for row in values.rows().into_iter().rev() {
        for v in row {
            pixels.extend(map.rgb((v - lo) / (hi - lo)));
        }
    }
    encode(&pixels, w, h)
}

/// A PNG of the map itself, largest value on top: what a colour bar shows.
///
/// # Errors
/// When the encoder fails.
pub(crate) fn bar_png(map: Map) -> Result<Vec<u8>> {
    let pixels: Vec<u8> = (0..128).rev().flat_map(|k| map.rgb(f64::from(k) / 127.0)).collect();
    encode(&pixels, 1, 128)
}

fn encode(rgb: &[u8], w: usize, h: usize) -> Result<Vec<u8>> {
    let mut png = Vec::new();
    image::codecs::png::PngEncoder::new(&mut png)
        .write_image(rgb, w as u32, h as u32, image::ExtendedColorType::Rgb8)
        .context("encoding a heat map")?;
    Ok(png)
}

/// Renders a drawing at `zoom` times its size on white, with the embedded typeface only: the
/// picture is the same on every machine.
///
/// # Errors
/// When the drawing is not valid SVG.
pub(crate) fn render_png(svg: &str, zoom: f32) -> Result<Vec<u8>> {
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
    let tree = usvg::Tree::from_str(svg, &options).context("reading a figure back")?;
    let size = tree.size().to_int_size().scale_by(zoom).context("a figure of no size")?;
    let mut pixels =
        tiny_skia::Pixmap::new(size.width(), size.height()).context("a figure of no size")?;
    pixels.fill(tiny_skia::Color::WHITE);
    resvg::render(&tree, tiny_skia::Transform::from_scale(zoom, zoom), &mut pixels.as_mut());
    pixels.encode_png().context("encoding a figure")
}
