//! `experiment verify`: the exit code and the report; what it recomputes is tested in `references`.

use serde_json::json;

use crate::support::{parse_one, run, text};

#[test]
fn a_changed_reference_is_exit_code_one() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (file, whole) = (dir.path().join("schedules/schedules.json"), references::repository());
    std::fs::create_dir(dir.path().join("schedules")).expect("a folder");
    let bytes = std::fs::read(whole.join("schedules/schedules.json")).expect("a file");
    std::fs::write(&file, &bytes).expect("a file");
    let verify = || {
        let output = run(&["verify", "refs", text(dir.path()), "--json"]);
        (output.status.code(), parse_one(&output.stdout))
    };
    let (code, report) = verify();
    assert_eq!((code, &report["ok"]), (Some(0), &json!(true)), "{report}");
    let mut changed: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    let entry = &mut changed["vp_beta0.1_20"]["alpha"][5];
    *entry = json!(1.001 * entry.as_f64().expect("a number"));
    std::fs::write(&file, changed.to_string()).expect("a file");
    let (code, report) = verify();
    assert_eq!((code, &report["ok"]), (Some(1), &json!(false)), "{report}");
    let failure = &report["families"][0]["failures"][0];
    assert_eq!(failure["case"], "vp_beta0.1_20/alpha", "{report}");
}
