//! State dicts of other people: safetensors of any element type, PyTorch archives with averages.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = score_nets::checkpoint::inspect(bytes);
});
