//! Tables of text.

use data::{ColumnValues, Kind, OpenOptions};
use ndarray::array;

use crate::support::{Folder, gz, open, refused};

fn names(kind: &Kind) -> Vec<&str> {
    let Kind::Table { columns } = kind else { panic!("a table") };
    columns.iter().map(|c| c.name.as_str()).collect()
}

#[test]
fn columns_have_the_types_of_their_entries() {
    let folder = Folder::new();
    let text = "rings,sex,\"length, mm\"\n15,M,0.5\n7,F,1e-3\n9,I,2\n-3,F,-.25\n";
    for (name, bytes) in [("a.csv", text.as_bytes().to_vec()), ("a.csv.gz", gz(text.as_bytes()))] {
        let data = open(&folder.file(name, bytes)).expect("a table");
        assert_eq!(names(data.kind()), ["rings", "sex", "length, mm"]);
        let Kind::Table { columns } = data.kind() else { panic!("a table") };
        assert_eq!(columns[0].values, ColumnValues::Integer);
        let sexes = ["F", "I", "M"].map(String::from).to_vec();
        assert_eq!(columns[1].values, ColumnValues::Categories(sexes));
        assert_eq!(columns[2].values, ColumnValues::Float);
        let rows = array![[15.0, 2.0, 0.5], [7.0, 0.0, 1e-3], [9.0, 1.0, 2.0], [-3.0, 0.0, -0.25]];
        assert_eq!(data.to_array().expect("rows"), rows);
    }
}

#[test]
fn headers_and_delimiters_are_told() {
    let folder = Folder::new();
    let bare = open(&folder.file("bare.csv", "1,2.5\n3,4\n")).expect("no header");
    assert_eq!((names(bare.kind()), bare.len()), (vec!["c0", "c1"], 2));
    for (file, text) in
        [("a.tsv", "x\ty\n1\t2\n"), ("b.csv", "x;y\r\n1;2\r\n"), ("c", " x , y\n1, 2")]
    {
        let data = open(&folder.file(file, text)).expect(file);
        assert_eq!((names(data.kind()), data.len()), (vec!["x", "y"], 1), "{file}");
    }
    let years = folder.file("years.csv", "2019,2020\n1,2\n");
    let told = OpenOptions { header: Some(true), ..OpenOptions::default() };
    assert_eq!(names(data::open(&years, &told).expect("years").kind()), ["2019", "2020"]);
}

#[test]
fn labels_are_a_column_a_file_or_what_scikit_learn_wrote() {
    let folder = Folder::new();
    let with = |labels: &str| OpenOptions { labels: Some(labels.into()), ..OpenOptions::default() };
    let flowers = folder.file("flowers.csv", "kind,x\nrose,1.5\niris,2.5\nrose,3\n");
    let data = data::open(&flowers, &with("kind")).expect("labels");
    let labels = data.labels().expect("labels");
    assert_eq!(
        (&labels.of[..], &labels.classes[..]),
        (&[1, 0, 1][..], &["iris".into(), "rose".into()][..])
    );
    assert_eq!((data.dim(), names(data.kind())), (1, vec!["x"]));
    // Whole numbers are classes by their value, in order.
    let coded = folder.file("coded.csv", "0.5,7\n0.25,-2\n1,7\n");
    let data = data::open(&coded, &with("last")).expect("labels");
    let labels = data.labels().expect("labels");
    assert_eq!(
        (&labels.of[..], &labels.classes[..]),
        (&[1, 0, 1][..], &["-2".into(), "7".into()][..])
    );
    let file = folder.file("classes.txt", "cat\ndog\ncat\n");
    let data = data::open(&coded, &with(&file.display().to_string()));
    // All names: the first line is taken for a header, which leaves two.
    refused(data, &["classes.txt", "2 labels for the 3 rows", "coded.csv"]);
    let file = folder.file("classes.txt", "animal\ncat\ndog\ncat\n");
    let data = data::open(&coded, &with(&file.display().to_string())).expect("labels");
    assert_eq!((data.n_classes(), data.dim()), (2, 2));
    let sets = folder.file("wine.csv", "3,2,good,bad\n0.5,1,0\n1.5,2,1\n2.5,1,1\n");
    let data = open(&sets).expect("a set of scikit-learn");
    let labels = data.labels().expect("labels");
    assert_eq!(
        (&labels.of[..], &labels.classes[..]),
        (&[0, 1, 1][..], &["good".into(), "bad".into()][..])
    );
    assert_eq!((data.len(), data.dim()), (3, 2));
    // As many fields as columns: the first line is none of the rows all the same.
    let iris = folder.file("iris.csv", "1,3,old,new\n1,2,3,0\n");
    assert_eq!(open(&iris).expect("a set of scikit-learn").dim(), 3);
    refused(data::open(&flowers, &with("x")), &["flowers.csv", "`x`", "real numbers"]);
    refused(data::open(&flowers, &with("y")), &["flowers.csv", "`y`", "kind, x"]);
}

#[test]
fn codes_of_categories_are_categories_when_told() {
    let folder = Folder::new();
    let path = folder.file("a.csv", "zone,x\n10,1\n2,2\n10,3\n");
    let options = OpenOptions { categorical: vec!["zone".into()], ..OpenOptions::default() };
    let data = data::open(&path, &options).expect("a table");
    let Kind::Table { columns } = data.kind() else { panic!("a table") };
    assert_eq!(columns[0].values, ColumnValues::Categories(vec!["10".into(), "2".into()]));
    let options = OpenOptions { categorical: vec!["zones".into()], ..OpenOptions::default() };
    refused(data::open(&path, &options), &["a.csv", "`zones`", "zone, x"]);
}

#[test]
fn what_is_wrong_is_named_with_file_row_and_column() {
    let folder = Folder::new();
    let cases: [(&str, &[&str]); 16] = [
        ("x,y\n1,2\n3,four\n", &["row 1 (line 3), column `y`", "`four` is no number"]),
        ("x,y\n1,2\n3,\n", &["row 1 (line 3), column `y`", "a missing value"]),
        ("x,y\n1,2\nNA,3\n", &["row 1", "column `x`", "a missing value, `NA`"]),
        ("1,2\nnan,3\n", &["row 1 (line 2), column `c0`", "missing", "nan"]),
        ("1,2\n?,3\n", &["row 1", "column `c0`", "missing", "`?`"]),
        ("1,2\n3,inf\n", &["row 1", "column `c1`", "`inf` is no finite number"]),
        ("1,2\n3,1e999\n", &["row 1", "column `c1`", "`1e999`"]),
        ("x,k\n1,a\n2,\n", &["row 1", "column `k`", "a missing value"]),
        ("x,y\n1,2\n3\n", &["row 1 (line 3)", "1 fields, expected 2", "ends before column `y`"]),
        (
            "x,y\n1,2\n3,4,5\n",
            &["row 1 (line 3)", "3 fields, expected 2", "goes on after column `y`"],
        ),
        ("x,x\n1,2\n", &["columns 0 and 1", "`x`"]),
        ("x,y\n", &["no data", "0 rows"]),
        ("", &["empty"]),
        ("9007199254740993\n", &["row 0", "9007199254740993", "digits"]),
        ("a\0b", &["neither text"]),
        ("x\n1\n\u{1f600}\n", &["row 1", "`\u{1f600}` is no number"]),
    ];
    for (k, (text, needles)) in cases.into_iter().enumerate() {
        let name = format!("case{k}.csv");
        let found = open(&folder.file(&name, text));
        refused(found, &[&[name.as_str()], needles].concat());
    }
    refused(open(&folder.file("latin.csv", b"x\n1\n\xe9\n")), &["latin.csv", "row 1", "UTF-8"]);
    refused(open(&folder.path("none.csv")), &["none.csv", "cannot read"]);
    let cut = gz(b"x,y\n1,2\n3,4\n");
    refused(open(&folder.file("cut.csv.gz", &cut[..cut.len() - 9])), &["cut.csv.gz"]);
    let long = format!("1\n{}\n", "z".repeat(100_000));
    refused(open(&folder.file("long.csv", long)), &["long.csv", "zzz..."]);
}

/// Nothing of the size of a square is made.
#[test]
fn a_million_columns_are_a_million_numbers() {
    let folder = Folder::new();
    let n = 1_000_000;
    let row = |k: usize| {
        let fields: Vec<String> = (0..n).map(|i| ((i * 7 + k * 3) % 11).to_string()).collect();
        fields.join(",")
    };
    let data =
        open(&folder.file("wide.csv", [row(0), row(1), row(2)].join("\n"))).expect("a table");
    assert_eq!((data.len(), data.dim()), (3, n));
    let transform = data::Transform::fit(&data, &data::TransformOptions::default()).expect("fits");
    let rows = data.to_array().expect("rows");
    let z = transform.to_model(rows.view(), sde_core::Key::root(1), 0).expect("maps");
    assert_eq!(transform.from_model(z.view()).expect("back"), rows);
}
