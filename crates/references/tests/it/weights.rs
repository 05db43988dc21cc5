//! The weights of arXiv 2311.15996 as their authors saved them.

use candle_core::{DType, Device, Tensor};
use libtest_mimic::Failed;
use score_nets::ScoreNet;

type Test = fn() -> Result<(), Failed>;

pub(crate) const TESTS: [(&str, Test); 2] = [
    ("original_archive_is_the_converted_file", original_is_converted),
    ("damaged_archives_are_named", damaged_archives),
];

const ORIGINAL: &str = "raw/blob_net__FP_weight_0.0__iteration_100000";

fn open(file: &std::path::Path) -> Result<ScoreNet, score_nets::Error> {
    ScoreNet::open_published(file, DType::F32, &Device::Cpu)
}

fn original_is_converted() -> Result<(), Failed> {
    let folder = references::larger_set().join("../odesdegap");
    let original = open(&folder.join(ORIGINAL))?;
    let converted = open(&folder.join("blob_w0.0.safetensors"))?;
    assert_eq!(original.config(), converted.config());
    assert_eq!(original.n_parameters(), 13_361);
    let values = |t: &Tensor| t.flatten_all().and_then(|t| t.to_vec1::<f32>());
    for ((name, a), (other, b)) in original.parameters().iter().zip(converted.parameters().iter()) {
        assert_eq!(name, other);
        assert_eq!(values(a)?, values(b)?, "{name}");
    }
    Ok(())
}

/// Cut anywhere, or with one bit of the largest storage flipped, which the checksum of the member finds.
fn damaged_archives() -> Result<(), Failed> {
    let bytes = std::fs::read(references::larger_set().join("../odesdegap").join(ORIGINAL))?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("net");
    let refused = |bytes: &[u8], reason: &str| {
        std::fs::write(&file, bytes)?;
        let found = open(&file).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(found.contains(reason), "{found}");
        Ok::<(), Failed>(())
    };
    for keep in [10, 2000, bytes.len() / 2, bytes.len() - 30] {
        refused(&bytes[..keep], "not a complete PyTorch archive")?;
    }
    let mut flipped = bytes;
    flipped[20_000] ^= 0x40;
    refused(&flipped, "member `")
}
