//! Arrays as NumPy writes them. The bytes of the numbers are those of
//! `numpy.arange(6).reshape(2, 3).astype(descr)` through `numpy.save` (NumPy 2), the headers its text.

use data::npy;
use ndarray::{ArrayD, array};

/// A file of version 1: header text, then bytes.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    versioned(1, header, data)
}

fn versioned(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
    let width = if version == 1 { 2 } else { 4 };
    let padding = 64 - (8 + width + header.len() + 1) % 64;
    let header = format!("{header}{}\n", " ".repeat(padding));
    let length = header.len() as u32;
    let start = [b"\x93NUMPY", &[version, 0][..], &length.to_le_bytes()[..width]].concat();
    [&start, header.as_bytes(), data].concat()
}

fn header(descr: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}")
}

fn read(bytes: &[u8]) -> data::Result<ArrayD<f64>> {
    let whole = npy::read_from(bytes, Some(bytes.len() as u64));
    // As from a pipe, whose length nobody knows.
    let piped = npy::read_from(bytes, None);
    match (&whole, &piped) {
        (Ok(a), Ok(b)) => assert_eq!(a.mapv(f64::to_bits), b.mapv(f64::to_bits)),
        (Err(_), Err(_)) => {}
        _ => panic!("{whole:?} from a file, {piped:?} from a pipe"),
    }
    whole
}

#[track_caller]
fn refused(bytes: &[u8], needles: &[&str]) {
    let error = read(bytes).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    for needle in needles {
        assert!(error.contains(needle), "no {needle:?} in {error}");
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

#[test]
fn every_element_type_of_numbers() {
    let hex = [
        ("<f2", "0000003c0040004200440045"),
        (">f2", "00003c004000420044004500"),
        ("<f4", "000000000000803f0000004000004040000080400000a040"),
        (">f4", "000000003f80000040000000404000004080000040a00000"),
        (
            "<f8",
            "0000000000000000000000000000f03f0000000000000040000000000000084000000000000010400000000000001440",
        ),
        (
            ">f8",
            "00000000000000003ff00000000000004000000000000000400800000000000040100000000000004014000000000000",
        ),
        ("|i1", "000102030405"),
        ("<i2", "000001000200030004000500"),
        (">i2", "000000010002000300040005"),
        ("<i4", "000000000100000002000000030000000400000005000000"),
        (">i4", "000000000000000100000002000000030000000400000005"),
        (
            "<i8",
            "000000000000000001000000000000000200000000000000030000000000000004000000000000000500000000000000",
        ),
        (
            ">i8",
            "000000000000000000000000000000010000000000000002000000000000000300000000000000040000000000000005",
        ),
        ("|u1", "000102030405"),
        ("<u2", "000001000200030004000500"),
        (">u2", "000000010002000300040005"),
        ("<u4", "000000000100000002000000030000000400000005000000"),
        (">u4", "000000000000000100000002000000030000000400000005"),
        (
            "<u8",
            "000000000000000001000000000000000200000000000000030000000000000004000000000000000500000000000000",
        ),
        (
            ">u8",
            "000000000000000000000000000000010000000000000002000000000000000300000000000000040000000000000005",
        ),
    ];
    let expected = array![[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]].into_dyn();
    for (descr, hex) in hex {
        for version in [1, 2, 3] {
            let file = versioned(version, &header(descr, "(2, 3)"), &bytes(hex));
            assert_eq!(read(&file).expect(descr), expected, "{descr}");
        }
        let fortran = header(descr, "(3, 2)").replace("False", "True");
        let found = read(&file(&fortran, &bytes(hex))).expect(descr);
        assert_eq!(found, expected.clone().reversed_axes(), "{descr}");
    }
    let found = read(&file(&header("|b1", "(2, 3)"), &bytes("000101010101"))).expect("booleans");
    assert_eq!(found, array![[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]].into_dyn());
}

/// The ends of each type: signs, the smallest and largest half, integers beyond 2^53.
#[test]
fn values_at_the_ends() {
    let one = |descr: &str, data: &[u8]| read(&file(&header(descr, "()"), data)).expect(descr)[[]];
    assert_eq!(one("<f2", &0x0001_u16.to_le_bytes()), 2.0_f64.powi(-24));
    assert_eq!(one(">f2", &0xfbff_u16.to_be_bytes()), -65504.0);
    assert_eq!(one("<f2", &0x7c00_u16.to_le_bytes()), f64::INFINITY);
    assert!(one("<f2", &0x7e00_u16.to_le_bytes()).is_nan());
    assert_eq!(one("|i1", &[0x80]), -128.0);
    assert_eq!(one("|u1", &[0x80]), 128.0);
    assert_eq!(one("<i2", &i16::MIN.to_le_bytes()), -32768.0);
    assert_eq!(one(">i4", &i32::MIN.to_be_bytes()), -2_147_483_648.0);
    assert_eq!(one("<u8", &u64::MAX.to_le_bytes()), 18_446_744_073_709_551_616.0);
    assert_eq!(one(">i8", &(-9_007_199_254_740_993_i64).to_be_bytes()), -9_007_199_254_740_992.0);
}

#[test]
fn headers_of_other_writers() {
    let data = [1.0_f64, 2.0].map(f64::to_le_bytes).concat();
    let headers = [
        // Python 2 had long integers.
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2L, 1L), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2L,), }",
        // Any order, other quotes, little or much space.
        "{\"shape\":(2,1),\"fortran_order\":True,\"descr\":\"<f8\"}",
        "{ 'fortran_order' : False , 'shape' : ( 2 , ) , 'descr' : '=f8' }",
    ];
    for header in headers {
        let found = read(&file(header, &data)).expect(header);
        assert_eq!(found.iter().copied().collect::<Vec<_>>(), [1.0, 2.0], "{header}");
    }
    assert_eq!(read(&file(&header("<f8", "(0, 3)"), b"")).expect("empty").shape(), [0, 3]);
}

#[test]
fn what_is_no_array_of_numbers_is_refused_in_words() {
    let types = [
        ("<c16", "complex"),
        ("|O", "objects"),
        ("<U3", "text"),
        ("|S2", "text"),
        ("<M8[s]", "dates"),
        ("<f16", "another size"),
        ("|V4", "raw bytes"),
        ("<q9", "unknown"),
        ("", "unknown"),
    ];
    for (descr, needle) in types {
        refused(&file(&header(descr, "(1,)"), &[0; 16]), &[needle, descr]);
    }
    let structured = "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (2,), }";
    refused(&file(structured, &[0; 16]), &["structured"]);
    let texts = [
        ("", "EOF"),
        ("{}", "missing field `descr`"),
        ("{'descr': '<f8', 'fortran_order': 0, 'shape': (1,)}", "expected a boolean"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}", "integer `-1`"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': 1}", "expected a sequence"),
        (
            "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "floating point",
        ),
        (
            "{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (1,)}",
            "duplicate field `descr`",
        ),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'x': 1}", "unknown field `x`"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)} x", "trailing"),
        ("{'descr': '<f8", "parsing a string"),
    ];
    for (text, needle) in texts {
        refused(&file(text, &[0; 8]), &[needle]);
    }
    refused(&versioned(4, &header("<f8", "(1,)"), &[0; 8]), &["version 4.0"]);
}

/// No header is believed with an allocation, and no product of its lengths wraps.
#[test]
fn shapes_that_no_memory_holds() {
    let most = usize::MAX / 2;
    for shape in [
        format!("(0, {most}, 4)"),
        format!("({most}, 0, {most})"),
        format!("({most}, {most})"),
        format!("({most},)"),
        "(4294967296, 4294967296)".to_string(),
        format!("({}, 2, 0)", usize::MAX),
    ] {
        for order in ["False", "True"] {
            for descr in ["<f8", "|u1"] {
                let text = header(descr, &shape).replace("False", order);
                let error = read(&file(&text, &[0; 64]));
                assert!(error.is_err(), "{text}");
            }
        }
    }
    refused(&file(&header("<f8", "(1000000000, 1000)"), &[0; 64]), &["truncated", "64"]);
    let mut long = versioned(2, &header("<f8", "(1,)"), &[0; 8]);
    long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    refused(&long, &["a header of 4294967295 bytes"]);
    long[8..12].copy_from_slice(&60_000_u32.to_le_bytes());
    refused(&long, &["ends in its header"]);
}

#[test]
fn cut_lengthened_and_flipped_files() {
    let data: Vec<u8> = (0..6).flat_map(|k| f64::from(k).to_le_bytes()).collect();
    let whole = file(&header("<f8", "(2, 3)"), &data);
    for cut in 0..whole.len() {
        assert!(read(&whole[..cut]).is_err(), "cut at {cut}");
    }
    for extra in [1, 8, 1000] {
        let long = [&whole[..], &vec![0; extra]].concat();
        refused(&long, &["too long"]);
    }
    for bit in 0..8 * whole.len() {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(found) = read(&flipped) {
            // Another number, byte order or type: the bytes are all used.
            assert_eq!(found.len(), 6, "bit {bit}");
        }
    }
}
