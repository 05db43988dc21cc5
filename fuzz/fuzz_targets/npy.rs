//! `.npy` files, whole and from a pipe.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let whole = experiments::npy::read_from(bytes, Some(bytes.len() as u64));
    let piped = experiments::npy::read_from(bytes, None);
    assert_eq!(whole.is_ok(), piped.is_ok());
});
