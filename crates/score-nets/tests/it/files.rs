//! Files: round trips, and one clear line for everything that can be wrong with one.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use score_nets::{Error, NetConfig, ScoreNet};
use sde_core::Key;

use crate::common::{Outcome, host, net, zoo};

fn weights(net: &ScoreNet) -> Vec<(String, Vec<f64>)> {
    net.parameters().iter().map(|(n, v)| (n.to_string(), host(v))).collect()
}

#[test]
fn networks_survive_a_file() -> Outcome {
    let folder = tempfile::tempdir()?;
    for (i, config) in zoo().iter().enumerate() {
        for dtype in [DType::F32, DType::F64] {
            let net = net(config, dtype);
            let path = folder.path().join(format!("{i}.safetensors"));
            net.save(&path)?;
            let back = ScoreNet::open(&path)?;
            assert_eq!(back.config(), config);
            assert_eq!(back.dtype(), dtype);
            assert_eq!(weights(&back), weights(&net));
            let bytes = std::fs::read(&path)?;
            net.save(&path)?;
            assert_eq!(bytes, std::fs::read(&path)?, "equal content is equal bytes");
            let other = ScoreNet::new(config.clone(), Key::root(99), dtype, &Device::Cpu)?;
            assert_ne!(weights(&other), weights(&net));
            other.load(&path)?;
            assert_eq!(weights(&other), weights(&net));
        }
    }
    assert_eq!(std::fs::read_dir(folder.path())?.count(), zoo().len(), "no temporary files left");
    Ok(())
}

#[track_caller]
fn refused(path: &Path, part: &str) {
    let opened = ScoreNet::open_published(path, DType::F32, &Device::Cpu);
    let error = opened.err().unwrap_or_else(|| panic!("{part}: opened"));
    let line = error.to_string();
    assert!(line.contains(part) && !line.contains('\n'), "{line:?} lacks {part:?}");
    assert!(line.contains(&path.display().to_string()), "{line:?} lacks the path");
}

struct Bench {
    folder: tempfile::TempDir,
    count: std::cell::Cell<usize>,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), count: 0.into() }
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        self.count.set(self.count.get() + 1);
        let path = self.folder.path().join(format!("{}.bin", self.count.get()));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// A plain safetensors file of zeros, each tensor a name, a type, a shape.
    fn tensors(&self, tensors: &[(&str, &str, &[usize])]) -> PathBuf {
        let (mut header, mut at) = (serde_json::Map::new(), 0);
        for (name, dtype, shape) in tensors {
            let size = match *dtype {
                "F64" => 8,
                "F16" => 2,
                _ => 4,
            };
            let n = shape.iter().product::<usize>() * size;
            header.insert(
                name.to_string(),
                serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [at, at + n]}),
            );
            at += n;
        }
        let json = serde_json::to_vec(&header).unwrap();
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json);
        bytes.resize(bytes.len() + at, 0);
        self.file(&bytes)
    }
}

const TINY: [(&str, &str, &[usize]); 4] = [
    ("input.bias", "F32", &[4]),
    ("input.weight", "F32", &[4, 3]),
    ("output.bias", "F32", &[1]),
    ("output.weight", "F32", &[1, 4]),
];

#[test]
fn broken_files_are_named() {
    let bench = Bench::new();
    refused(&bench.folder.path().join("absent"), "cannot read");
    refused(&bench.file(b""), "not a complete safetensors file");
    refused(&bench.file(b"PK\x03\x04 and no zip"), "not a complete PyTorch archive");
    let with = |i: usize, entry: (&'static str, &'static str, &'static [usize])| {
        let mut all = TINY;
        all[i] = entry;
        bench.tensors(&all)
    };
    let error = ScoreNet::open(bench.tensors(&TINY)).err().expect("is refused").to_string();
    assert!(error.contains("does not say which network it holds"), "{error}");
    assert!(ScoreNet::open_published(bench.tensors(&TINY), DType::F32, &Device::Cpu).is_ok());
    refused(&bench.tensors(&[]), "no tensors");
    refused(&bench.tensors(&TINY[1..]), "1 missing: input.bias");
    refused(
        &with(0, ("input.bias", "F32", &[5])),
        "1 of another shape: input.bias (expected [4], found [5])",
    );
    refused(&with(1, ("input.weight", "F32", &[12])), "tensor `input.weight`: expected a matrix");
    refused(&with(3, ("output.weight", "F32", &[3, 4])), "tensor `output.weight`: 3 outputs");
    refused(&with(0, ("input.bias", "F16", &[4])), "tensor `input.bias` has element type F16");
    refused(&with(0, ("input.bias", "F64", &[4])), "but `input.weight` is f32");
    refused(&with(0, ("other", "F32", &[4])), "1 missing: input.bias; 1 superfluous: other");
}

#[test]
fn damaged_checkpoints_are_named() -> Outcome {
    let bench = Bench::new();
    let good = bench.folder.path().join("good");
    let net = net(&NetConfig::published(), DType::F32);
    net.save(&good)?;
    let bytes = std::fs::read(&good)?;
    for keep in [4, 100, bytes.len() / 2, bytes.len() - 1] {
        refused(&bench.file(&bytes[..keep]), "not a complete safetensors file");
    }
    let mut poisoned = bytes.clone();
    let n = poisoned.len();
    poisoned[n - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    refused(&bench.file(&poisoned), "its checksum is wrong");
    let format = b"\\\"format\\\":1";
    let at = bytes.windows(format.len()).position(|at| at == format).expect("in the header") + 11;
    let mut newer = bytes.clone();
    newer[at] = b'7';
    refused(&bench.file(&newer), "format 7 is not known");

    let wider = NetConfig { hidden: vec![80, 81, 80], ..NetConfig::published() };
    let wider = crate::common::net(&wider, DType::F32);
    let before = weights(&wider);
    let error = wider.load(&good).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
    assert!(error.to_string().contains("hidden1.bias (expected [81], found [80])"), "{error}");
    assert_eq!(weights(&wider), before, "a failed load changes nothing");
    let nowhere = bench.folder.path().join("no/such/folder/net");
    assert!(net.save(nowhere).unwrap_err().to_string().contains("cannot write"));
    Ok(())
}

/// A file of ours, damaged anywhere: an error that names it, or the same network.
#[test]
fn no_flipped_bit_and_no_cut_gives_another_network() -> Outcome {
    let bench = Bench::new();
    let path = bench.folder.path().join("tiny");
    let config = NetConfig {
        hidden: vec![2],
        identity: Some("blob, weight 1".into()),
        ..NetConfig::published()
    };
    let tiny = net(&config, DType::F32);
    tiny.save(&path)?;
    let bytes = std::fs::read(&path)?;
    let same = |bytes: &[u8]| match ScoreNet::from_published_bytes(bytes) {
        Ok(found) => found.config() == tiny.config() && weights(&found) == weights(&tiny),
        Err(e) => !e.to_string().contains('\n'),
    };
    assert_eq!(ScoreNet::open(&path)?.config().identity, config.identity);
    for cut in 0..bytes.len() {
        assert!(ScoreNet::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for bit in 0..8 * bytes.len() {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(same(&flipped), "bit {bit} of {}", 8 * bytes.len());
    }
    Ok(())
}

/// Lengths of 0 hide no product that overflows.
#[test]
fn shapes_without_elements_are_counted_all_the_same() {
    let bench = Bench::new();
    let most = usize::MAX / 2;
    for shape in [vec![0, most, 4], vec![most, 0, most], vec![4, most, 0]] {
        let header = serde_json::json!({"input.weight":
            {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}});
        let json = serde_json::to_vec(&header).unwrap();
        let bytes = [&(json.len() as u64).to_le_bytes()[..], &json].concat();
        let opened = ScoreNet::open_published(bench.file(&bytes), DType::F32, &Device::Cpu);
        assert!(opened.is_err(), "{shape:?}");
    }
}
