//! Features of the random convolution network.

use metrics::{Metric, Options, RandomConvolution, Sample, frechet_distance};
use ndarray::{Array2, Axis, concatenate};
use sde_core::Key;

use crate::support::{Numbers, check_close};

fn numbers_of(key: Key, count: usize) -> Vec<f64> {
    let mut values = vec![0.0; count];
    key.fill_normals(0, &mut values);
    values
}

/// The network as its documentation has it: channels first, one output after the other.
fn written_out(key: Key, [channels, height, width]: [usize; 3], image: &[f64]) -> Vec<f64> {
    let (mut h, mut w, mut from) = (height, width, channels);
    let mut map: Vec<f64> = image.iter().map(|v| 2.0 * v - 1.0).collect();
    for (l, to) in [16, 32, 32].into_iter().enumerate() {
        let weights = numbers_of(key.fold(2 * l as u64), to * from * 9);
        let biases = numbers_of(key.fold(2 * l as u64 + 1), to);
        let size = (2.0 / (9.0 * from as f64)).sqrt();
        let at = |c: usize, y: i64, x: i64| {
            let inside = (0..h as i64).contains(&y) && (0..w as i64).contains(&x);
            if inside { map[(c * h + y as usize) * w + x as usize] } else { 0.0 }
        };
        let mut next = Vec::new();
        for o in 0..to {
            for (y, x) in (0..h as i64).flat_map(|y| (0..w as i64).map(move |x| (y, x))) {
                let mut sum = 0.1 * biases[o];
                for c in 0..from {
                    for (dy, dx) in (0..3).flat_map(|dy| (0..3).map(move |dx| (dy, dx))) {
                        let weight = size * weights[((o * from + c) * 3 + dy) * 3 + dx];
                        sum += weight * at(c, y + dy as i64 - 1, x + dx as i64 - 1);
                    }
                }
                next.push(sum.max(0.0));
            }
        }
        (map, from) = (next, to);
        if l < 2 && h >= 4 && w >= 4 {
            let (hh, ww) = (h.div_ceil(2), w.div_ceil(2));
            let mut pooled = Vec::new();
            for (c, y, x) in
                (0..to).flat_map(|c| (0..hh).flat_map(move |y| (0..ww).map(move |x| (c, y, x))))
            {
                let cells = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(a, b)| (2 * y + a, 2 * x + b));
                let cells: Vec<f64> = cells
                    .into_iter()
                    .filter(|(y, x)| *y < h && *x < w)
                    .map(|(y, x)| map[(c * h + y) * w + x])
                    .collect();
                pooled.push(cells.iter().sum::<f64>() / cells.len() as f64);
            }
            (map, h, w) = (pooled, hh, ww);
        }
    }
    let ends =
        |part: usize, side: usize| if part == 0 { (0, side.div_ceil(2)) } else { (side / 2, side) };
    let mut features = Vec::new();
    for c in 0..32 {
        for (a, b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let ((y0, y1), (x0, x1)) = (ends(a, h), ends(b, w));
            let cells = (y0..y1).flat_map(|y| (x0..x1).map(move |x| (y, x)));
            let values: Vec<f64> = cells.map(|(y, x)| map[(c * h + y) * w + x]).collect();
            features.push(values.iter().sum::<f64>() / values.len() as f64);
        }
    }
    features
}

fn images(seed: u64, n: usize, image: [usize; 3]) -> Array2<f64> {
    let mut numbers = Numbers::new(seed);
    Array2::from_shape_simple_fn((n, image.iter().product()), || numbers.uniform())
}

#[test]
fn as_the_documentation_says_for_every_size() {
    for (k, image) in [[1, 4, 4], [1, 8, 8], [3, 9, 5], [2, 28, 28], [4, 7, 31], [3, 32, 32]]
        .into_iter()
        .enumerate()
    {
        let key = Key::root(k as u64);
        let x = images(5, 2, image);
        let net = RandomConvolution::new(key, image).unwrap();
        let found = net.features(x.view()).unwrap();
        assert_eq!(found.dim(), (2, 128));
        for (row, image_row) in found.rows().into_iter().zip(x.rows()) {
            let expected = written_out(key, image, &image_row.to_vec());
            for (found, expected) in row.iter().zip(expected) {
                check_close("feature", *found, expected, 1e-12, 1.0);
            }
            // Of the smallest images a quarter is one pixel: about half are cut off.
            assert!(row.iter().filter(|v| **v > 0.0).count() > 24, "{row}");
        }
    }
}

/// Features of some images as they were computed on an x86-64: the same bits on every machine, whatever the threads.
#[test]
fn features_are_the_same_bits_everywhere() {
    let image = [3, 12, 10];
    let x = Array2::from_shape_fn((40, 360), |(i, j)| ((31 * i + 17 * j) % 256) as f64 / 255.0);
    let net = RandomConvolution::new(Key::root(7), image).unwrap();
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| net.features(x.view()).unwrap())
    };
    let found = with(1);
    assert_eq!(found, with(3));
    // FNV-1a of the bits.
    let bytes = found.iter().flat_map(|v| v.to_bits().to_le_bytes());
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    assert_eq!(hash, 0x5991_c77b_4f45_0f0f, "{hash:#x}");
    // One network a seed; its parameters are those of 3 channels.
    let parameters: Vec<f64> = net.parameters().collect();
    assert_eq!(parameters.len(), 27 * 16 + 16 + 9 * 16 * 32 + 32 + 9 * 32 * 32 + 32);
    let other = RandomConvolution::new(Key::root(8), image).unwrap();
    assert!(other.parameters().zip(parameters).all(|(a, b)| a != b));
}

/// Laws that differ in texture alone, pixel by pixel of one law, are told apart; samples of one law are not.
#[test]
fn texture_is_seen() {
    let image = [1, 8, 8];
    let net = RandomConvolution::new(Key::root(0), image).unwrap();
    let rough = images(1, 400, image);
    let again = images(2, 400, image);
    // Neighbours in a row are the same pixel.
    let smooth = Array2::from_shape_fn((400, 64), |(i, j)| images_of(3, i, j / 2));
    // How many deviations of its floor a Frechet distance is above the mean of it.
    let above = |x: &Array2<f64>, y: &Array2<f64>| {
        let [x, y] = [x, y].map(|x| net.features(x.view()).unwrap());
        let pool = Sample::cloud(concatenate![Axis(0), x, y]);
        let found = frechet_distance(x.view(), y.view()).unwrap();
        let options = Options::default();
        let floor = Metric::Frechet.noise_floor_of(&pool, [400, 400], &options, Key::root(4), 30);
        let floor = floor.unwrap();
        (found - floor.mean()) / floor.standard_deviation()
    };
    let (same, different) = (above(&rough, &again), above(&rough, &smooth));
    // Thirty draws: a t-test at 1e-6.
    assert!(same.abs() < 6.2 && different > 6.2, "{different} against {same}");
}

fn images_of(seed: u64, image: usize, pixel: usize) -> f64 {
    Numbers::new(seed * 1_000_003 + (image * 64 + pixel) as u64 * 7919).uniform()
}

#[test]
fn misuse_is_named() {
    let said = |image| RandomConvolution::new(Key::root(0), image).unwrap_err().to_string();
    assert_eq!(said([5, 8, 8]), "channels of an image must be 1 to 4, found 5");
    assert_eq!(said([1, 3, 8]), "height of an image must be >= 4, found 3");
    assert_eq!(said([1, 8, 0]), "width of an image must be >= 4, found 0");
    assert!(said([1, 1 << 40, 1 << 40]).contains("height"));
    let net = RandomConvolution::new(Key::root(0), [1, 8, 8]).unwrap();
    let error = net.features(Array2::zeros((2, 63)).view()).unwrap_err().to_string();
    assert_eq!(error, "images: expected [2, 64], found [2, 63]");
    assert!(net.features(Array2::zeros((0, 64)).view()).is_err());
    assert!(net.features(Array2::from_elem((1, 64), f64::NAN).view()).is_err());
}
