//! Files that are whole or absent, and arrays in every form NumPy writes.

use std::io::Write;

use experiments::atomic::{self, AtomicFile};
use experiments::npy::{self, RowWriter};
use ndarray::{Array2, ArrayD, IxDyn, ShapeBuilder, array};

use crate::support::{folder, save};

#[test]
fn arrays_survive_in_every_layout() {
    let dir = folder();
    let path = dir.path().join("a.npy");
    let rows = array![[1.0 / 3.0, -2.0], [f64::MIN_POSITIVE, 4.5], [1e300, -0.0]];
    npy::write(&path, rows.view()).expect("written");
    assert_eq!(npy::read_rows(&path).expect("read"), rows);

    let fortran = Array2::from_shape_fn((3, 2).f(), |at| rows[at]);
    save(&path, &fortran.into_dyn());
    assert_eq!(npy::read_rows(&path).expect("read"), rows);

    let single = array![[0.1_f32, 2.5], [3.0, -1.0]];
    save(&path, &single.clone().into_dyn());
    assert_eq!(npy::read_rows(&path).expect("read"), single.mapv(f64::from));

    save(&path, &ArrayD::<f64>::ones(IxDyn(&[4])));
    assert_eq!(npy::read_rows(&path).expect("read").dim(), (4, 1));
}

#[test]
fn versions_and_byte_orders() {
    let dir = folder();
    let path = dir.path().join("a.npy");
    for (version, length) in [(1_u8, 2_usize), (2, 4), (3, 4)] {
        for (descr, bytes) in [("<f8", 2.5_f64.to_le_bytes()), (">f8", 2.5_f64.to_be_bytes())] {
            let mut header =
                format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1, 1), }}");
            while !(6 + 2 + length + header.len() + 1).is_multiple_of(64) {
                header.push(' ');
            }
            header.push('\n');
            let mut file = b"\x93NUMPY".to_vec();
            file.extend([version, 0]);
            file.extend(&(header.len() as u32).to_le_bytes()[..length]);
            file.extend(header.as_bytes());
            file.extend(bytes);
            std::fs::write(&path, &file).expect("a file");
            assert_eq!(npy::read_rows(&path).expect("read"), array![[2.5]]);
        }
    }
}

#[test]
fn rows_in_pieces_are_the_same_file() {
    let dir = folder();
    let rows = Array2::from_shape_fn((7, 3), |(i, j)| (i * 3 + j) as f64 / 7.0);
    npy::write(&dir.path().join("whole.npy"), rows.view()).expect("written");
    let pieces = dir.path().join("pieces.npy");
    let mut writer = RowWriter::create(&pieces, 7, 3).expect("created");
    for piece in [0..2, 2..2, 2..7] {
        writer.push(rows.slice(ndarray::s![piece, ..])).expect("written");
        assert!(!pieces.exists());
    }
    writer.finish().expect("finished");
    let read = |name: &str| std::fs::read(dir.path().join(name)).expect("a file");
    assert_eq!(read("whole.npy"), read("pieces.npy"));
}

#[test]
fn a_file_given_up_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("a.txt");
    atomic::write(&path, b"old").expect("written");
    let mut file = AtomicFile::create(&path).expect("created");
    file.write_all(b"new").expect("written");
    drop(file);
    assert_eq!(std::fs::read(&path).expect("a file"), b"old");
    assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 1);
}

#[test]
#[cfg(unix)]
fn links_and_modes_are_those_of_ordinary_files() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    std::fs::write(&real, "").expect("a file");
    let mode = |path| std::fs::metadata(path).expect("a file").permissions().mode();
    let expected = mode(&real);
    symlink(&real, &link).expect("a link");
    atomic::write(&link, b"through").expect("written");
    assert!(std::fs::symlink_metadata(&link).expect("a link").is_symlink());
    assert_eq!(std::fs::read(&real).expect("a file"), b"through");
    assert_eq!(mode(&real), expected);
    atomic::write(std::path::Path::new("/dev/null"), b"gone").expect("written");
    assert!(!std::fs::metadata("/dev/null").expect("a device").is_file());
}
