//! Arrays of NumPy as data.

use std::fs::File;
use std::path::PathBuf;

use data::{Kind, Layout, OpenOptions, Pixels, Values};
use ndarray::{Array1, Array2, Array4, array};
use ndarray_npy::{NpzWriter, write_npy};

use crate::support::{Folder, open, refused};

#[test]
fn types_of_numbers_are_types_of_columns() {
    let folder = Folder::new();
    let path = folder.path("a.npy");
    write_npy(&path, &array![[1_i32, -2], [3, 4]]).expect("a file");
    let data = open(&path).expect("integers");
    let columns = vec![data::Column::integer("c0"), data::Column::integer("c1")];
    assert_eq!(*data.kind(), Kind::Table { columns });
    assert_eq!(data.to_array().expect("rows"), array![[1.0, -2.0], [3.0, 4.0]]);
    write_npy(&path, &array![true, false]).expect("a file");
    let data = open(&path).expect("booleans");
    assert_eq!(*data.kind(), Kind::Table { columns: vec![data::Column::integer("c0")] });
    write_npy(&path, &array![[1.5_f32]]).expect("a file");
    let data = open(&path).expect("floats");
    assert_eq!(*data.kind(), Kind::Table { columns: vec![data::Column::float("c0")] });
    write_npy(&path, &array![[1.0, 2.0], [3.0, f64::NAN]]).expect("a file");
    refused(open(&path), &["a.npy", "row 1, column c1", "NaN"]);
    write_npy(&path, &array![[1_i64 << 54]]).expect("a file");
    refused(open(&path), &["a.npy", "row 0, column c0", "18014398509481984", "2^53"]);
    write_npy(&path, &Array2::<f64>::zeros((0, 3))).expect("a file");
    refused(open(&path), &["a.npy", "0 rows"]);
}

/// Two images with three channels, two rows and four columns: pixel (c, y, x) of image n is `100 n + 10 c + 4 y + x`.
fn image() -> Array4<u8> {
    Array4::from_shape_fn((2, 3, 2, 4), |(n, c, y, x)| (100 * n + 10 * c + 4 * y + x) as u8)
}

#[test]
fn both_layouts_of_images() {
    let folder = Folder::new();
    let (first, last) = (folder.path("first.npy"), folder.path("last.npy"));
    write_npy(&first, &image()).expect("a file");
    let moved = image().permuted_axes([0, 2, 3, 1]);
    write_npy(&last, &moved.as_standard_layout()).expect("a file");
    let (first, last) = (open(&first).expect("first"), open(&last).expect("last"));
    let pixels = Pixels::Levels(256);
    assert_eq!(*first.kind(), Kind::Images { channels: 3, height: 2, width: 4, pixels });
    assert_eq!((first.kind(), first.values()), (last.kind(), last.values()));
    let Values::Bytes(bytes) = first.values() else { panic!("bytes") };
    // Pixel (2, 1, 3) of image 1, at coordinate 2 * 8 + 1 * 4 + 3.
    assert_eq!(bytes[[1, 23]], 127);
    assert_eq!(first.hash(), last.hash());
    let unclear = folder.path("unclear.npy");
    write_npy(&unclear, &Array4::<u8>::zeros((2, 3, 5, 3))).expect("a file");
    refused(open(&unclear), &["unclear.npy", "[2, 3, 5, 3]", "first and last"]);
    let told = OpenOptions { layout: Some(Layout::ChannelsLast), ..OpenOptions::default() };
    let data = data::open(&unclear, &told).expect("told");
    let pixels = Pixels::Levels(256);
    assert_eq!(*data.kind(), Kind::Images { channels: 3, height: 3, width: 5, pixels });
    write_npy(&unclear, &Array4::<u8>::zeros((2, 5, 5, 4))).expect("a file");
    refused(open(&unclear), &["[2, 5, 5, 4]", "neither"]);
}

#[test]
fn levels_of_images() {
    let folder = Folder::new();
    let path = folder.path("a.npy");
    let levels = |options: &OpenOptions| match data::open(&path, options).expect("images").kind() {
        Kind::Images { pixels, .. } => *pixels,
        Kind::Table { .. } | _ => panic!("images"),
    };
    let usual = OpenOptions::default();
    write_npy(&path, &array![[[0_i64, 3], [16, 2]]]).expect("a file");
    assert_eq!(levels(&usual), Pixels::Levels(17));
    assert_eq!(levels(&OpenOptions { levels: Some(32), ..usual.clone() }), Pixels::Levels(32));
    let few = OpenOptions { levels: Some(16), ..usual.clone() };
    refused(data::open(&path, &few), &["channel 0, y 1, x 0", "16", "0 to 15"]);
    write_npy(&path, &array![[[false, true]]]).expect("a file");
    assert_eq!(levels(&usual), Pixels::Levels(2));
    write_npy(&path, &array![[[0_u16, 3]]]).expect("a file");
    assert_eq!(levels(&usual), Pixels::Levels(65536));
    write_npy(&path, &array![[[-1.5, 3.0]]]).expect("a file");
    assert_eq!(levels(&usual), Pixels::Real(-1.5, 3.0));
    write_npy(&path, &array![[[-1_i16, 3]]]).expect("a file");
    refused(open(&path), &["a.npy", "-1 to 3"]);
    write_npy(&path, &array![[[[[1_u8]]]]]).expect("a file");
    refused(open(&path), &["a.npy", "[1, 1, 1, 1, 1]"]);
}

fn archive(folder: &Folder, names: &[&str]) -> PathBuf {
    let path = folder.path("a.npz");
    let mut writer = NpzWriter::new(File::create(&path).expect("a file"));
    for (k, name) in names.iter().enumerate() {
        if ["labels", "y", "arr_1"].contains(name) {
            writer.add_array(*name, &array![5_i64, 3]).expect("labels");
        } else {
            writer.add_array(*name, &array![[k as f64], [2.0]]).expect("rows");
        }
    }
    writer.finish().expect("an archive");
    path
}

#[test]
fn an_array_of_an_archive_is_chosen() {
    let folder = Folder::new();
    for names in [&["x", "y"][..], &["data", "labels"], &["arr_0", "arr_1"]] {
        let data = open(&archive(&folder, names)).expect("data and labels");
        let labels = data.labels().expect("labels");
        assert_eq!(
            (&labels.of[..], labels.classes.join(" ")),
            (&[1, 0][..], "3 5".into()),
            "{names:?}"
        );
    }
    assert!(open(&archive(&folder, &["moons"])).expect("one array").labels().is_none());
    let two = archive(&folder, &["moons", "circles"]);
    let both = open(&two).expect("two classes");
    assert!(both.source().ends_with("a.npz, arrays circles, moons"), "{}", both.source());
    assert_eq!(both.to_array().expect("rows"), array![[1.0], [2.0], [0.0], [2.0]]);
    let labels = both.labels().expect("classes");
    assert_eq!(
        (&labels.of[..], labels.classes.join(" ")),
        (&[0, 0, 1, 1][..], "circles moons".into())
    );
    refused(
        open(&archive(&folder, &["moons", "circles", "y"])),
        &["a.npz", "which array", "circles, moons, y"],
    );
    let mut writer = NpzWriter::new(File::create(folder.path("c.npz")).expect("a file"));
    writer.add_array("mean", &Array1::<f64>::zeros(3)).expect("numbers");
    writer.add_array("rows", &Array2::<f64>::zeros((3, 3))).expect("rows");
    writer.finish().expect("an archive");
    refused(open(&folder.path("c.npz")), &["c.npz", "which array", "mean, rows"]);
    let named = |array: &str| OpenOptions { array: Some(array.into()), ..OpenOptions::default() };
    let data = data::open(&two, &named("circles")).expect("the one");
    assert!(data.source().ends_with("a.npz, array `circles`"));
    assert_eq!(data.to_array().expect("rows"), array![[1.0], [2.0]]);
    refused(data::open(&two, &named("spirals")), &["a.npz", "`spirals`", "circles, moons"]);
    let labels = OpenOptions { labels: Some("y".into()), ..named("x") };
    assert_eq!(
        data::open(&archive(&folder, &["x", "y", "z"]), &labels).expect("named").n_classes(),
        2
    );
    let two = archive(&folder, &["moons", "circles"]);
    refused(
        data::open(&two, &OpenOptions { labels: Some("y".into()), ..named("moons") }),
        &["`y`"],
    );
    let mut writer = NpzWriter::new(File::create(folder.path("b.npz")).expect("a file"));
    writer.add_array("x", &Array2::<f64>::zeros((3, 1))).expect("rows");
    writer.add_array("y", &Array1::<i64>::zeros(2)).expect("labels");
    writer.finish().expect("an archive");
    refused(open(&folder.path("b.npz")), &["b.npz", "`y`", "2 labels for 3 rows"]);
    refused(open(&folder.file("c.npz", b"PK\x03\x04 and no more")), &["c.npz"]);
}
