//! JSON models.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = experiments::model::Analytic::from_json(bytes);
});
