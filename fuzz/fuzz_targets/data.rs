//! Readers of data: tables, arrays, archives, IDX, CIFAR-10, pictures, told by their content; and files of features.
#![no_main]

use std::io::Write as _;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The name decides nothing but for `.bin`, which has no mark of its own.
    let ending = if bytes.first().is_some_and(|b| b % 2 == 0) { ".bin" } else { ".csv" };
    let Ok(mut file) = tempfile::Builder::new().suffix(ending).tempfile() else { return };
    if file.write_all(bytes).is_err() {
        return;
    }
    let found = data::open(file.path(), &data::OpenOptions::default());
    if let Ok(data) = found {
        assert!(data.len() > 0 && data.dim() > 0);
        let _ = data.to_array().map(|rows| data.kind().check(rows.view()).expect("rows of their kind"));
    }
    let _ = data::Features::open(file.path(), None).and_then(|f| f.moments());
});
