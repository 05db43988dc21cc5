//! IDX and CIFAR-10.

use data::{Kind, OpenOptions, Pixels};

use crate::support::{Folder, gz, open, refused};

fn idx(element: u8, shape: &[u32], bytes: &[u8]) -> Vec<u8> {
    let dims = shape.iter().flat_map(|n| n.to_be_bytes());
    [0, 0, element, shape.len() as u8]
        .into_iter()
        .chain(dims)
        .chain(bytes.iter().copied())
        .collect()
}

#[test]
fn mnist_is_read_with_the_labels_beside_it() {
    let folder = Folder::new();
    let images = idx(8, &[3, 2, 2], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255]);
    let labels = idx(8, &[3], &[7, 2, 7]);
    let plain = folder.file("train-images-idx3-ubyte", &images);
    assert!(open(&plain).expect("images").labels().is_none());
    folder.file("train-labels-idx1-ubyte.gz", gz(&labels));
    let packed = folder.file("train-images-idx3-ubyte.gz", gz(&images));
    for path in [plain, packed] {
        let data = open(&path).expect("images");
        let pixels = Pixels::Levels(256);
        assert_eq!(*data.kind(), Kind::Images { channels: 1, height: 2, width: 2, pixels });
        let mut row = [0.0; 4];
        data.row(2, &mut row);
        assert_eq!(row, [8.0, 9.0, 10.0, 255.0]);
        let labels = data.labels().expect("labels");
        assert_eq!(
            (&labels.of[..], &labels.classes[..]),
            (&[1, 0, 1][..], &["2".into(), "7".into()][..])
        );
    }
    let short = folder.file("short", idx(8, &[2], &[1, 2]));
    let options =
        OpenOptions { labels: Some(short.display().to_string()), ..OpenOptions::default() };
    let found = data::open(&folder.path("train-images-idx3-ubyte"), &options);
    refused(found, &["short", "2 labels for the 3 rows", "train-images-idx3-ubyte"]);
    folder.file("train-labels-idx1-ubyte", idx(8, &[2], &[1, 2]));
    let found = open(&folder.path("train-images-idx3-ubyte"));
    refused(found, &["train-labels-idx1-ubyte", "2 labels for the 3 rows"]);
}

#[test]
fn other_numbers_of_idx() {
    let folder = Folder::new();
    let data = open(&folder.file("i2", idx(0x0b, &[2, 1], &[0xff, 0xfe, 1, 0]))).expect("16 bits");
    assert_eq!(data.to_array().expect("rows"), ndarray::array![[-2.0], [256.0]]);
    let data =
        open(&folder.file("f4", idx(0x0d, &[1, 1], &1.5_f32.to_be_bytes()))).expect("floats");
    assert_eq!(data.to_array().expect("rows"), ndarray::array![[1.5]]);
    let cases: [(&str, Vec<u8>, &[&str]); 5] = [
        ("cut", idx(8, &[2, 2], &[1, 2, 3]), &["needs 4 bytes, found 3", "truncated"]),
        ("long", idx(8, &[1, 2], &[1, 2, 3]), &["needs 2 bytes", "too long"]),
        ("type", idx(0x0a, &[1, 1], &[1]), &["type 10"]),
        ("huge", idx(8, &[u32::MAX; 3], &[1]), &["too large"]),
        ("much", idx(8, &[u32::MAX, 2], &[1]), &["truncated"]),
    ];
    for (name, bytes, needles) in cases {
        refused(open(&folder.file(name, bytes)), &[&[name], needles].concat());
    }
    let header = idx(8, &[2, 2], &[]);
    for cut in 4..header.len() {
        assert!(open(&folder.file("header", &header[..cut])).is_err(), "cut at {cut}");
    }
}

fn records(labels: &[u8]) -> Vec<u8> {
    let record = |label: &u8| {
        let pixels = (0..3072_u32).map(|i| (i % 251) as u8 ^ label);
        std::iter::once(*label).chain(pixels).collect::<Vec<_>>()
    };
    labels.iter().flat_map(record).collect()
}

#[test]
fn records_of_cifar() {
    let folder = Folder::new();
    let first = folder.file("cifar/data_batch_1.bin", records(&[9, 0]));
    let data = open(&first).expect("records");
    assert_eq!((data.len(), data.dim(), data.n_classes()), (2, 3072, 10));
    let mut row = vec![0.0; 3072];
    data.row(0, &mut row);
    // Red, green and blue are planes of the file and of a row.
    assert_eq!((row[0], row[1024]), (9.0, f64::from((1024_u32 % 251) as u8 ^ 9)));
    let labels = data.labels().expect("labels");
    assert_eq!((labels.of[0], labels.classes[9].as_str()), (9, "truck"));
    folder.file("cifar/data_batch_2.bin", records(&[3]));
    folder.file("cifar/test_batch.bin", records(&[1; 5]));
    let all = open(&folder.path("cifar")).expect("a folder of records");
    assert_eq!((all.len(), all.labels().expect("labels").of.clone()), (3, vec![9, 0, 3]));
    let cut = &records(&[1])[..3000];
    refused(open(&folder.file("cut.bin", cut)), &["cut.bin", "3000 bytes", "3073"]);
    refused(open(&folder.file("bad.bin", records(&[1, 10]))), &["bad.bin", "row 1", "label 10"]);
}
