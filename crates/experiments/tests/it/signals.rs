//! What is left when a command is told to end, or has nobody to talk to.
#![cfg(unix)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;
use ndarray::array;

use crate::support::{folder, save_rows};

/// The temporary files of `out.npy`.
fn temporary(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).expect("a folder");
    let names = names.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|n| n.starts_with(".out.npy.")).collect()
}

/// Starts drawing more samples than anybody waits for, and hands back the process once it writes.
fn sampling(folder: &Path) -> Child {
    let words = "sample --model mixture.json --sde ou --method ddim --steps 20 --n 2000000000 --out out.npy";
    let before = temporary(folder);
    let mut child = Command::new(cargo_bin!("experiment"))
        .args(words.split(' '))
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let begin = Instant::now();
    while temporary(folder).iter().all(|name| before.contains(name)) {
        assert!(child.try_wait().expect("a child").is_none(), "it ended by itself");
        assert!(begin.elapsed() < Duration::from_secs(120), "nothing happened");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

fn tell(child: &mut Child, signal: &str) -> Option<i32> {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
    child.wait().expect("a child").code()
}

#[test]
fn a_signal_leaves_nothing_behind() {
    let dir = folder();
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let mut child = sampling(dir.path());
        assert_eq!(tell(&mut child, signal), Some(code), "{signal}");
        assert_eq!(temporary(dir.path()), Vec::<String>::new(), "{signal}");
        assert!(!dir.path().join("out.npy").exists());
    }
    // Nothing can be done at once about this one: the next command on the file sees to it.
    let mut child = sampling(dir.path());
    assert_eq!(tell(&mut child, "-KILL"), None);
    assert_eq!(temporary(dir.path()).len(), 1);
    let mut child = sampling(dir.path());
    assert_eq!(temporary(dir.path()).len(), 1);
    assert_eq!(tell(&mut child, "-INT"), Some(130));
    assert_eq!(temporary(dir.path()), Vec::<String>::new());
}

#[test]
fn a_reader_who_has_gone_is_no_error() {
    let dir = folder();
    save_rows(&dir.path().join("a.npy"), &array![[0.0, 1.0], [2.0, 3.0]]);
    for words in ["metric w2 a.npy a.npy", "list --json", "list methods"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = Command::new(cargo_bin!("experiment"))
            .args(words.split(' '))
            .current_dir(dir.path())
            .stdout(writer)
            .output()
            .expect("the binary starts");
        assert_eq!(output.status.code(), Some(141), "{words}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words}");
    }
}
