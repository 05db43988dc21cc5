//! Networks: safetensors of ours and of others, PyTorch archives.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = score_nets::ScoreNet::from_published_bytes(bytes);
});
