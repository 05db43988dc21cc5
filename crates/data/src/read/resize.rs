//! Pictures of one size.

use super::picture::Picture;

impl Picture {
    /// The largest part of the shape `height x width` about the middle, each new pixel the mean over the area it covers.
    pub(super) fn resized(self, height: usize, width: usize) -> Self {
        if (self.height, self.width) == (height, width) {
            return self;
        }
        let (tall, wide) = (self.height as f64, self.width as f64);
        let scale = (tall / height as f64).min(wide / width as f64);
        let rows = weights(height, scale, (tall - scale * height as f64) / 2.0, self.height);
        let columns = weights(width, scale, (wide - scale * width as f64) / 2.0, self.width);
        let c = self.channels;
        let mut values = Vec::with_capacity(height * width * c);
        // Along a row of the result first: it is used by every pixel of it.
        let mut line = vec![0.0; self.width * c];
        for row in &rows {
            line.fill(0.0);
            for (y, weight) in row {
                let from = &self.values[y * self.width * c..][..self.width * c];
                line.iter_mut().zip(from).for_each(|(l, v)| *l += weight * f64::from(*v));
            }
            for column in &columns {
                for channel in 0..c {
                    let sum: f64 = column.iter().map(|(x, w)| w * line[x * c + channel]).sum();
                    values.push(sum.round().clamp(0.0, self.largest()) as u16);
                }
            }
        }
        Self { height, width, values, ..self }
    }
}

/// For each of `n` new pixels of length `scale` the old ones that it covers, of `most`, and how much of it they are.
fn weights(n: usize, scale: f64, start: f64, most: usize) -> Vec<Vec<(usize, f64)>> {
    let of = |i: usize| {
        let (low, high) = (start + scale * i as f64, start + scale * (i + 1) as f64);
        let cover = |k: usize| high.min(k as f64 + 1.0) - low.max(k as f64);
        let last = (high.ceil() as usize).clamp(1, most);
        let first = (low as usize).min(last - 1);
        let parts: Vec<(usize, f64)> = (first..last).map(|k| (k, cover(k).max(0.0))).collect();
        let sum: f64 = parts.iter().map(|(_, w)| w).sum();
        parts.into_iter().map(|(k, w)| (k, w / sum)).collect()
    };
    (0..n).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(height: usize, width: usize, values: Vec<u16>) -> Picture {
        Picture { channels: 1, height, width, deep: false, values }
    }

    #[test]
    fn areas_are_averaged_and_the_middle_is_kept() {
        let halved = grey(2, 4, vec![0, 10, 20, 30, 40, 50, 60, 70]).resized(1, 2);
        assert_eq!(halved.values, [25, 45]);
        // Of six columns the middle two are the square.
        let cut = grey(2, 6, vec![9, 9, 1, 2, 9, 9, 9, 9, 3, 4, 9, 9]).resized(2, 2);
        assert_eq!(cut.values, [1, 2, 3, 4]);
        // Three pixels to two: a pixel and a half each.
        let uneven = grey(3, 3, vec![0, 30, 60, 0, 30, 60, 0, 30, 60]).resized(2, 2);
        assert_eq!(uneven.values, [10, 50, 10, 50]);
        let larger = grey(1, 1, vec![7]).resized(2, 3);
        assert_eq!(larger.values, [7; 6]);
    }
}
