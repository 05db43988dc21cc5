//! Masks of images: which of the `C H W` numbers are seen.

use std::ops::Range;

use sde_core::{Key, Result};

use super::refuse;

/// Everything is seen but a box of pixels, in all channels of an image `[C, H, W]`.
///
/// # Errors
/// [`sde_core::Error::Parameter`] for a box that is empty or not inside.
///
/// ```
/// use control::{Groups, Linear, box_mask};
/// let a = Groups::mask(&box_mask([1, 2, 2], 0..1, 1..2)?)?;
/// assert_eq!((a.input_len(), a.output_len()), (4, 3));
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn box_mask(
    [channels, height, width]: [usize; 3],
    rows: Range<usize>,
    columns: Range<usize>,
) -> Result<Vec<bool>> {
    for (name, range, most) in [("rows", &rows, height), ("columns", &columns, width)] {
        if range.is_empty() || range.end > most {
            let value = format!("{}..{}", range.start, range.end);
            return refuse(name, value, format!("must be some of 0..{most}"));
        }
    }
    let hidden = |p: usize| rows.contains(&(p / width)) && columns.contains(&(p % width));
    Ok((0..channels * height * width).map(|i| !hidden(i % (height * width))).collect())
}

/// Each pixel of an image `[C, H, W]` is seen with probability `share`, in all channels or none; number `i` of the key
/// decides on pixel `i`.
///
/// # Errors
/// [`sde_core::Error::Parameter`] unless the share is in `[0, 1]`.
///
/// ```
/// use sde_core::Key;
/// let seen = control::random_mask([3, 8, 8], 0.5, Key::root(1))?;
/// assert_eq!(seen[..64], seen[64..128]);
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn random_mask(
    [channels, height, width]: [usize; 3],
    share: f64,
    key: Key,
) -> Result<Vec<bool>> {
    if !(0.0..=1.0).contains(&share) {
        return refuse("share", share, "must be in [0, 1]");
    }
    let mut u = vec![0.0; height * width];
    key.fill_uniforms(0, &mut u);
    Ok(u.iter().map(|u| *u < share).collect::<Vec<bool>>().repeat(channels))
}
