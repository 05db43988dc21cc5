//! Folders of pictures.

use std::path::PathBuf;

use data::{Colour, Dataset, Kind, OpenOptions, Pixels};
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage, Rgba};

use crate::support::{Folder, open, refused};

fn save(folder: &Folder, name: &str, image: impl Into<DynamicImage>) -> PathBuf {
    let path = folder.file(name, "");
    image.into().save(&path).expect("a picture");
    path
}

fn grey(height: u32, width: u32, value: u8) -> GrayImage {
    GrayImage::from_pixel(width, height, Luma([value]))
}

fn kind(data: &Dataset) -> (usize, usize, usize, Pixels) {
    match data.kind() {
        Kind::Images { channels, height, width, pixels } => (*channels, *height, *width, *pixels),
        _ => panic!("images"),
    }
}

fn row(data: &Dataset, k: usize) -> Vec<f64> {
    data.rows(k, 1).expect("a row").into_iter().collect()
}

#[test]
fn subfolders_are_classes() {
    let folder = Folder::new();
    save(&folder, "set/cat/b.png", grey(2, 3, 20));
    save(&folder, "set/cat/a.png", grey(2, 3, 10));
    save(&folder, "set/dog/a.png", grey(2, 3, 30));
    folder.file("set/dog/.DS_Store", "x");
    folder.file("set/dog/readme.txt", "x");
    let data = open(&folder.path("set")).expect("two classes");
    assert_eq!(kind(&data), (1, 2, 3, Pixels::Levels(256)));
    let labels = data.labels().expect("labels");
    assert_eq!((&labels.of[..], labels.classes.join(" ")), (&[0, 0, 1][..], "cat dog".into()));
    assert_eq!((row(&data, 0)[0], row(&data, 1)[0], row(&data, 2)[5]), (10.0, 20.0, 30.0));
    save(&folder, "set/stray.png", grey(2, 3, 0));
    refused(open(&folder.path("set")), &["stray.png", "which class"]);
    folder.file("holes/a/readme.txt", "x");
    refused(
        open(&folder.path("holes")),
        &["holes/a", "no .png, .jpg or .jpeg file (1 other files)"],
    );
    std::fs::create_dir(folder.path("empty")).expect("a folder");
    refused(open(&folder.path("empty")), &["empty", "no .png, .jpg or .jpeg file (0 other files)"]);
}

#[test]
fn a_table_of_file_names_says_the_classes() {
    let folder = Folder::new();
    for (k, name) in ["a.png", "b.png", "c.png"].into_iter().enumerate() {
        save(&folder, &format!("set/{name}"), grey(2, 2, k as u8));
    }
    let set = folder.path("set");
    let classes = |data: &Dataset| {
        let labels = data.labels().expect("labels");
        labels.of.iter().map(|l| labels.classes[*l as usize].clone()).collect::<Vec<_>>().join(" ")
    };
    assert!(open(&set).expect("pictures").labels().is_none());
    // In any order, with other columns, whole numbers or names.
    folder.file("set/labels.csv", "file,label\nc.png,dog\na.png,cat\nb.png,dog\n");
    assert_eq!(classes(&open(&set).expect("labels")), "cat dog dog");
    folder.file("set/labels.csv", "label,size,file\n7,1.5,c.png\n12,2,b.png\n7,3,a.png\n");
    assert_eq!(classes(&open(&set).expect("labels")), "7 12 7");
    // One that is named goes before the one in the folder; one column is in the order of the files.
    let with = |path: PathBuf| {
        let labels = Some(path.to_str().expect("utf-8").to_owned());
        data::open(&set, &OpenOptions { labels, ..OpenOptions::default() })
    };
    let other = folder.file("other.csv", "picture,kind\nb.png,x\na.png,y\nc.png,x\n");
    assert_eq!(classes(&with(other).expect("labels")), "y x x");
    let column = folder.file("column.csv", "kind\np\nq\nq\n");
    assert_eq!(classes(&with(column).expect("labels")), "p q q");

    let bad = |text: &str, needles: &[&str]| {
        folder.file("set/labels.csv", text);
        refused(open(&set), &[&["labels.csv"], needles].concat());
    };
    bad("file,label\na.png,1\nb.png,1\n", &["no label for", "c.png"]);
    bad(
        "file,label\na.png,1\nb.png,1\nz.png,1\n",
        &["row 2", "`file`", "`z.png` is no picture in"],
    );
    bad("file,label\na.png,1\nb.png,1\na.png,2\n", &["row 2", "`a.png` is in row 0 already"]);
    bad("file,label\na.png,0.5\nb.png,1\nc.png,1\n", &["`label`", "real numbers"]);
    bad("file,label\n1,1\n2,1\n3,1\n", &["`file`", "a number"]);
    bad("a,b,c\n1,2,3\n", &["expected the columns `file` and `label`"]);
    bad("file,label\na.png,1\nb.png,\n", &["row 1", "`label`"]);
}

#[test]
fn colours_lie_one_after_the_other() {
    let folder = Folder::new();
    let picture = RgbImage::from_fn(2, 1, |x, _| Rgb([x as u8, 10 + x as u8, 20 + x as u8]));
    let path = save(&folder, "a/one.png", picture);
    let data = open(&folder.path("a")).expect("a picture");
    assert_eq!((kind(&data).0, row(&data, 0)), (3, vec![0.0, 1.0, 10.0, 11.0, 20.0, 21.0]));
    assert_eq!(row(&open(&path).expect("the file itself"), 0), row(&data, 0));
    save(&folder, "a/two.png", grey(1, 2, 7));
    refused(open(&folder.path("a")), &["two.png", "1x2 grey of 8 bits", "one.png", "1x2 RGB"]);
    let turned = |colour| OpenOptions { colour: Some(colour), ..OpenOptions::default() };
    let data = data::open(&folder.path("a"), &turned(Colour::Rgb)).expect("colours");
    assert_eq!(row(&data, 1), vec![7.0; 6]);
    let data = data::open(&folder.path("a"), &turned(Colour::Grey)).expect("greys");
    // 0.7152 * 10 + 0.0722 * 20 = 8.6, and one more beside it.
    assert_eq!(row(&data, 0), [9.0, 10.0]);
}

#[test]
fn jpeg_is_read_whatever_its_name() {
    let folder = Folder::new();
    let path = save(&folder, "a.jpg", grey(8, 8, 100));
    std::fs::rename(&path, folder.path("a.png")).expect("renamed");
    let data = open(&folder.path("a.png")).expect("a picture");
    assert!(row(&data, 0).iter().all(|v| (v - 100.0).abs() <= 1.0));
}

#[test]
fn alpha_is_laid_on_white() {
    let folder = Folder::new();
    let pixels = [[10, 20, 30, 255], [10, 20, 30, 0], [0, 100, 255, 51]];
    let picture = ImageBuffer::from_fn(3, 1, |x, _| Rgba::<u8>(pixels[x as usize]));
    let data = open(&save(&folder, "a.png", picture)).expect("a picture");
    // A fifth of the colour and four fifths of white.
    let expected = [10.0, 255.0, 204.0, 20.0, 255.0, 224.0, 30.0, 255.0, 255.0];
    assert_eq!((kind(&data).0, row(&data, 0)), (3, expected.to_vec()));
    let picture = ImageBuffer::from_pixel(1, 1, LumaA::<u16>([0, 13107]));
    let data = open(&save(&folder, "b.png", picture)).expect("a picture");
    assert_eq!((kind(&data).3, row(&data, 0)), (Pixels::Levels(65536), vec![52428.0]));
}

#[test]
fn sixteen_bits_are_kept() {
    let folder = Folder::new();
    let deep = ImageBuffer::from_fn(2, 1, |x, _| Luma::<u16>([1 + 65534 * x as u16]));
    save(&folder, "a/one.png", deep);
    let data = open(&folder.path("a")).expect("a picture");
    assert_eq!((kind(&data).3, row(&data, 0)), (Pixels::Levels(65536), vec![1.0, 65535.0]));
    save(&folder, "a/two.png", grey(1, 2, 7));
    refused(open(&folder.path("a")), &["two.png", "8 bits", "one.png", "16 bits"]);
}

/// A picture of two pixels with a palette, as the PNG specification lays it out.
fn with_palette() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 4, 1);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Two);
    encoder.set_palette(vec![1, 2, 3, 40, 50, 60, 7, 8, 9]);
    let mut writer = encoder.write_header().expect("memory");
    // Indices 0, 1, 2, 1 in two bits each.
    writer.write_image_data(&[0b00_01_10_01]).expect("memory");
    writer.finish().expect("memory");
    bytes
}

#[test]
fn palettes_are_looked_up_and_few_bits_stretched() {
    let folder = Folder::new();
    let data = open(&folder.file("a.png", with_palette())).expect("a picture");
    let expected = [1.0, 40.0, 7.0, 40.0, 2.0, 50.0, 8.0, 50.0, 3.0, 60.0, 9.0, 60.0];
    assert_eq!((kind(&data).0, row(&data, 0)), (3, expected.to_vec()));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 8, 1);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header().expect("memory");
    writer.write_image_data(&[0b1010_0001]).expect("memory");
    writer.finish().expect("memory");
    let data = open(&folder.file("b.png", bytes)).expect("a picture");
    assert_eq!(row(&data, 0), [255.0, 0.0, 255.0, 0.0, 0.0, 0.0, 0.0, 255.0]);
}

#[test]
fn sizes_are_one_or_made_one() {
    let folder = Folder::new();
    save(&folder, "a/one.png", grey(4, 4, 50));
    let half = GrayImage::from_fn(8, 4, |x, _| Luma([if x < 4 { 0 } else { 200 }]));
    save(&folder, "a/two.png", half);
    refused(open(&folder.path("a")), &["two.png", "4x8", "one.png", "4x4"]);
    let sized = |size| OpenOptions { size: Some(size), ..OpenOptions::default() };
    let data = data::open(&folder.path("a"), &sized((2, 2))).expect("cut and resized");
    // The middle four columns of the second, halved.
    assert_eq!((row(&data, 0), row(&data, 1)), (vec![50.0; 4], vec![0.0, 200.0, 0.0, 200.0]));
    refused(data::open(&folder.path("a"), &sized((0, 2))), &["0x2"]);
    refused(data::open(&folder.path("a"), &sized((usize::MAX, 2))), &["size"]);
}

#[test]
fn damaged_pictures_are_named() {
    let folder = Folder::new();
    let whole = std::fs::read(save(&folder, "a/one.png", grey(16, 16, 50))).expect("a file");
    folder.file("a/two.png", &whole[..whole.len() / 2]);
    refused(open(&folder.path("a")), &["two.png", "damaged"]);
    folder.file("a/two.png", "");
    refused(open(&folder.path("a")), &["two.png"]);
    folder.file("a/two.png", "no picture");
    refused(open(&folder.path("a")), &["two.png"]);
    // A header that promises 2^31 - 1 pixels a side.
    let mut large = whole.clone();
    large[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    folder.file("a/two.png", large);
    refused(open(&folder.path("a")), &["two.png"]);
}
