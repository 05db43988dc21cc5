//! Damaged files: an error of one line or data, no panic and no memory that only a header asks for.

use std::path::PathBuf;

use sde_core::Key;

use crate::support::{Folder, gz, open};

/// Bytes that are hard to read.
const PIECES: [&[u8]; 8] =
    [b"", b"\0\0\0\0", b"\xff\xff\xff\xff", b"-1", b"1e400", b",,", b"\n\n", b"\x80"];

fn mutated(seed: &[u8], key: Key) -> Vec<u8> {
    let mut draws = [0.0; 17];
    key.fill_uniforms(0, &mut draws);
    let below = |u: f64, n: usize| (u * n as f64) as usize;
    let mut bytes = seed.to_vec();
    for change in draws[1..].chunks_exact(4).take(1 + below(draws[0], 4)) {
        let at = below(change[1], bytes.len() + 1);
        let end = (at + below(change[2] * change[2], 20)).min(bytes.len());
        let piece = PIECES[below(change[3], PIECES.len())];
        match below(change[0], 4) {
            0 if at < bytes.len() => bytes[at] ^= 1 << below(change[2], 8),
            1 => drop(bytes.splice(at..end, piece.iter().copied())),
            2 => bytes.truncate(at),
            _ => drop(bytes.splice(at..at, piece.iter().copied())),
        }
    }
    bytes
}

fn seeds(folder: &Folder) -> Vec<PathBuf> {
    let digits = data::digits();
    let few = digits.rows(0, 3).expect("rows");
    let (kind, few) = (digits.kind(), few.view());
    let mut paths: Vec<PathBuf> =
        ["a.npy", "a.png", "a.csv"].iter().map(|name| folder.path(name)).collect();
    paths.iter().for_each(|path| data::save(path, kind, few, None).expect("written"));
    let idx = [&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2][..], &[1, 2, 3, 4]].concat();
    paths.push(folder.file("idx", &idx));
    paths.push(folder.file("idx.gz", gz(&idx)));
    paths.push(folder.file("b.csv", "x,k\n1,a\n2.5,b\n-3,a\n"));
    let mut npz =
        ndarray_npy::NpzWriter::new(std::fs::File::create(folder.path("a.npz")).expect("a file"));
    npz.add_array("x", &ndarray::array![[1.0, 2.0], [3.0, 4.0]]).expect("rows");
    npz.add_array("y", &ndarray::array![1_i64, 2]).expect("labels");
    npz.finish().expect("an archive");
    paths.push(folder.path("a.npz"));
    paths
}

#[test]
fn readers_survive_damage() {
    let folder = Folder::new();
    for (k, path) in seeds(&folder).into_iter().enumerate() {
        let seed = std::fs::read(&path).expect("a file");
        open(&path).unwrap_or_else(|e| panic!("the seed is refused: {e}"));
        let mut refused = 0;
        for round in 0..400 {
            std::fs::write(&path, mutated(&seed, Key::root(k as u64).fold(round))).expect("a file");
            if let Err(error) = open(&path) {
                refused += 1;
                let error = error.to_string();
                assert!(error.lines().count() == 1 && error.len() < 5000, "{error}");
            }
        }
        assert!(refused > 0, "{}: every damaged file was accepted", path.display());
    }
}
