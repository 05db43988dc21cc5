//! The description inside a PyTorch archive.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = score_nets::inspect_pickle(bytes);
});
