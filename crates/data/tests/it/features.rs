//! Features and their moments, as tools write them.

use std::fs::File;
use std::path::PathBuf;

use data::Features;
use ndarray::{Array4, ArrayD, array};
use ndarray_npy::{NpzWriter, write_npy};

use crate::support::{Folder, refused};

fn archive(folder: &Folder, arrays: &[(&str, ArrayD<f64>)]) -> PathBuf {
    let path = folder.path("a.npz");
    let mut writer = NpzWriter::new(File::create(&path).expect("a file"));
    for (name, array) in arrays {
        writer.add_array(*name, array).expect("an array");
    }
    writer.finish().expect("an archive");
    path
}

#[test]
fn rows_under_the_names_of_tools() {
    let folder = Folder::new();
    let rows = array![[1.0, 2.0], [3.0, 5.0], [5.0, 2.0]];
    for name in ["reps", "feats", "features", "pool_3", "arr_0"] {
        let path =
            archive(&folder, &[(name, rows.clone().into_dyn()), ("other", array![1.0].into_dyn())]);
        let features = Features::open(&path, None).expect(name);
        assert_eq!(features, Features::Rows(rows.clone()));
        assert_eq!((features.n(), features.dim(), features.note()), (Some(3), 2, None));
    }
    let path = folder.path("a.npy");
    write_npy(&path, &rows.mapv(|v| v as f32)).expect("a file");
    let features = Features::open(&path, None).expect("an array");
    let moments = features.moments().expect("moments");
    assert_eq!((moments.mean, moments.n), (array![3.0, 3.0], Some(3)));
    assert_eq!(moments.covariance, array![[4.0, 0.0], [0.0, 3.0]]);
    refused(Features::open(&path, Some("x")), &["a.npy", "`x`"]);
    let named = archive(&folder, &[("x", rows.clone().into_dyn()), ("mu", array![1.0].into_dyn())]);
    assert_eq!(Features::open(&named, Some("x")).expect("named"), Features::Rows(rows));
    refused(Features::open(&named, None), &["a.npz", "mu, x", "reps"]);
    let images = archive(&folder, &[("arr_0", Array4::zeros((2, 3, 3, 3)).into_dyn())]);
    refused(Features::open(&images, None), &["`arr_0`", "[2, 3, 3, 3]", "images"]);
    let few = archive(&folder, &[("feats", array![[1.0, 2.0]].into_dyn())]);
    let few = Features::open(&few, None).expect("a row");
    assert!(few.note().expect("a note").contains("1 rows of 2 features"));
    refused(few.moments(), &["two rows, found 1"]);
    let nan = archive(&folder, &[("feats", array![[1.0], [f64::NAN]].into_dyn())]);
    refused(Features::open(&nan, None), &["`feats`", "row 1, column 0 is NaN"]);
}

#[test]
fn moments_of_pytorch_fid() {
    let folder = Folder::new();
    let mu = || array![1.0, 2.0].into_dyn();
    let sigma = || array![[2.0, 0.5], [0.5, 1.0]].into_dyn();
    let features = Features::open(&archive(&folder, &[("mu", mu()), ("sigma", sigma())]), None);
    let features = features.expect("moments");
    assert_eq!((features.n(), features.dim(), features.note()), (None, 2, None));
    assert_eq!(features.moments().expect("moments").covariance[[0, 1]], 0.5);
    let with = |n: f64| [("mu", mu()), ("sigma", sigma()), ("n", ndarray::arr0(n).into_dyn())];
    let features = Features::open(&archive(&folder, &with(2.0)), None).expect("moments");
    assert_eq!(features.n(), Some(2));
    assert!(features.note().expect("a note").contains("at most rank 1"));
    refused(Features::open(&archive(&folder, &with(0.5)), None), &["`n`", "0.5"]);
    for (sigma, needles) in [
        (array![[2.0, 0.5, 1.0], [0.5, 1.0, 1.0]].into_dyn(), ["mu [2]", "sigma [2, 3]"]),
        (
            array![[2.0, 0.5], [0.6, 1.0]].into_dyn(),
            ["no covariance", "(0, 1) is 0.5, (1, 0) is 0.6"],
        ),
        (array![[-2.0, 0.0], [0.0, 1.0]].into_dyn(), ["no covariance", "(0, 0) is -2"]),
        (array![[f64::INFINITY, 0.0], [0.0, 1.0]].into_dyn(), ["a.npz", "inf"]),
    ] {
        refused(
            Features::open(&archive(&folder, &[("mu", mu()), ("sigma", sigma)]), None),
            &needles,
        );
    }
    refused(Features::open(&folder.path("none.npz"), None), &["none.npz", "cannot read"]);
}
