//! What is written is read again.

use data::{Column, Dataset, Kind, Labels, OpenOptions, Pixels, Values};
use ndarray::{Array2, array};

use crate::support::{Folder, open, refused};

fn table() -> Dataset {
    let columns = vec![
        Column::float("x, y"),
        Column::integer("count"),
        Column::categories("say \"letter\"", vec!["a,b".into(), "c".into()]),
    ];
    let rows = array![[0.1, 3.0, 1.0], [1e-300, -4.0, 0.0], [-2.5e7, 9e15, 1.0]];
    Dataset::table(columns, rows, "rows").expect("rows")
}

#[test]
fn a_table_of_text_comes_back_bit_for_bit() {
    let folder = Folder::new();
    let data = table();
    let path = folder.path("a.csv");
    data::save(&path, data.kind(), data.to_array().expect("rows").view(), None).expect("written");
    let read = open(&path).expect("a table");
    assert_eq!((read.kind(), read.values()), (data.kind(), data.values()));
    let labels = Labels { of: vec![1, 0, 1], classes: vec!["no".into(), "yes".into()] };
    let rows = data.to_array().expect("rows");
    data::save(&path, data.kind(), rows.view(), Some(&labels)).expect("written");
    let options = OpenOptions { labels: Some("label".into()), ..OpenOptions::default() };
    let read = data::open(&path, &options).expect("a table");
    assert_eq!((read.kind(), read.labels()), (data.kind(), Some(&labels)));
    assert_eq!(std::fs::read_dir(folder.0.path()).expect("a folder").count(), 1, "nothing is left");
}

#[test]
fn arrays_have_the_type_of_the_data() {
    let folder = Folder::new();
    let path = folder.path("a.npy");
    let digits = data::digits();
    data::save(&path, digits.kind(), digits.rows(0, 5).expect("rows").view(), None)
        .expect("written");
    let levels = OpenOptions { levels: Some(17), ..OpenOptions::default() };
    let read = data::open(&path, &levels).expect("images");
    assert_eq!(read.kind(), digits.kind());
    let array: ndarray::Array4<u8> = ndarray_npy::read_npy(&path).expect("bytes");
    assert_eq!(array.dim(), (5, 1, 8, 8));
    assert_eq!(read.to_array().expect("pixels"), digits.rows(0, 5).expect("pixels"));
    let whole = vec![Column::integer("k"), Column::categories("c", vec!["u".into(), "v".into()])];
    let kind = Kind::Table { columns: whole };
    data::save(&path, &kind, array![[-7.0, 1.0]].view(), None).expect("written");
    let array: Array2<i64> = ndarray_npy::read_npy(&path).expect("integers");
    assert_eq!(array, array![[-7, 1]]);
    let data = table();
    let rows = data.to_array().expect("rows");
    data::save(&path, data.kind(), rows.view(), None).expect("written");
    let array: Array2<f64> = ndarray_npy::read_npy(&path).expect("doubles");
    assert_eq!(array, rows);
    let kind = Kind::Images { channels: 1, height: 1, width: 2, pixels: Pixels::Levels(65536) };
    data::save(&path, &kind, array![[0.0, 65535.0]].view(), None).expect("written");
    let array: ndarray::Array4<u16> = ndarray_npy::read_npy(&path).expect("16 bits");
    assert_eq!(array.iter().copied().collect::<Vec<_>>(), [0, 65535]);
}

fn colours(n: usize) -> Dataset {
    let values = Array2::from_shape_fn((n, 12), |(i, j)| (40 * i + 17 * j) as u8);
    let kind = Kind::Images { channels: 3, height: 2, width: 2, pixels: Pixels::Levels(256) };
    Dataset::new(kind, Values::Bytes(values), "colours").expect("images")
}

#[test]
fn a_folder_of_pictures_comes_back() {
    let folder = Folder::new();
    let data = colours(3);
    let path = folder.path("plain");
    let rows = data.to_array().expect("rows");
    data::save(&path, data.kind(), rows.view(), None).expect("written");
    let read = open(&path).expect("pictures");
    assert_eq!((read.kind(), read.values()), (data.kind(), data.values()));
    refused(data::save(&path, data.kind(), rows.view(), None), &["plain", "not empty"]);
    let labels = Labels { of: vec![0, 1, 0], classes: vec!["cat".into(), "dog".into()] };
    let path = folder.path("classes");
    data::save(&path, data.kind(), rows.view(), Some(&labels)).expect("written");
    let read = open(&path).expect("pictures");
    // The classes are read one after the other.
    assert_eq!(read.labels().expect("labels").of, [0, 0, 1]);
    assert_eq!(
        read.to_array().expect("rows"),
        data.select(&[0, 2, 1]).expect("rows").to_array().expect("rows")
    );
    let bad = Labels { of: vec![0; 3], classes: vec!["../up".into()] };
    refused(data::save(&folder.path("bad"), data.kind(), rows.view(), Some(&bad)), &["`../up`"]);
    let mut left: Vec<_> = std::fs::read_dir(folder.0.path())
        .expect("a folder")
        .flatten()
        .map(|e| e.file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["classes", "plain"], "nothing is left of what failed");
}

#[test]
fn a_sheet_has_every_image() {
    let folder = Folder::new();
    let path = folder.path("a.png");
    let data = colours(3);
    data::save(&path, data.kind(), data.to_array().expect("rows").view(), None).expect("written");
    let sheet = image::open(&path).expect("a picture").to_rgb8();
    assert_eq!(sheet.dimensions(), (5, 5));
    // Pixel (y, x) = (1, 0) of image 1, which is right of a gap, and of image 2, which is below one.
    let expected = |i: u32| [2, 6, 10].map(|j| (40 * i + 17 * j) as u8);
    assert_eq!(sheet.get_pixel(3, 1).0, expected(1));
    assert_eq!(sheet.get_pixel(0, 4).0, expected(2));
    assert_eq!((sheet.get_pixel(2, 0).0, sheet.get_pixel(4, 4).0), ([255; 3], [255; 3]));
    let kind = Kind::Images { channels: 1, height: 1, width: 3, pixels: Pixels::Levels(17) };
    data::save(&path, &kind, array![[0.0, 8.0, 16.0]].view(), None).expect("written");
    assert_eq!(image::open(&path).expect("a picture").to_luma8().into_raw(), [0, 128, 255]);
    let kind = Kind::Images { channels: 1, height: 1, width: 3, pixels: Pixels::Real(-1.0, 3.0) };
    data::save(&path, &kind, array![[-1.0, 1.0, 5.0]].view(), None).expect("written");
    assert_eq!(image::open(&path).expect("a picture").to_luma8().into_raw(), [0, 128, 255]);
    let kind = Kind::Images { channels: 1, height: 1, width: 2, pixels: Pixels::Levels(65536) };
    data::save(&path, &kind, array![[1.0, 65535.0]].view(), None).expect("written");
    assert_eq!(image::open(&path).expect("a picture").to_luma16().into_raw(), [1, 65535]);
}

#[test]
fn what_cannot_be_written_is_refused() {
    let folder = Folder::new();
    let data = table();
    let rows = data.to_array().expect("rows");
    let save = |name: &str, kind: &Kind, rows: &Array2<f64>| {
        data::save(&folder.path(name), kind, rows.view(), None)
    };
    refused(save("a.png", data.kind(), &rows), &["a.png", "no images"]);
    refused(save("a", data.kind(), &rows), &["no images"]);
    refused(save("a.xls", data.kind(), &rows), &["a.xls", ".xls", ".csv, .npy, .png"]);
    let mut wrong = rows.clone();
    wrong[[2, 1]] = 0.5;
    refused(save("a.csv", data.kind(), &wrong), &["row 2, column count", "0.5"]);
    refused(save("no/a.csv", data.kind(), &rows), &["no/a.csv", "cannot write"]);
    refused(save("a.csv", data.kind(), &Array2::zeros((0, 3))), &["no rows"]);
    let odd = Kind::Images { channels: 2, height: 1, width: 1, pixels: Pixels::Levels(2) };
    refused(save("a.png", &odd, &array![[0.0, 1.0]]), &["2 channels"]);
    let labels = Labels { of: vec![0], classes: vec!["a".into()] };
    let found = data::save(&folder.path("a.csv"), data.kind(), rows.view(), Some(&labels));
    refused(found, &["1 labels of 1 classes for 3 rows"]);
    assert_eq!(std::fs::read_dir(folder.0.path()).expect("a folder").count(), 0);
}
