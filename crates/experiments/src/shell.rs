//! Commands in words that a shell reads as they are meant.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::OnceLock;

/// What runs experiments: `cargo xtask`, or the program of another crate.
static PROGRAM: OnceLock<OsString> = OnceLock::new();

/// Has commands name the program that this process is.
pub(crate) fn name_program() {
    let name = std::env::args_os().next().unwrap_or_default();
    let _first_name_stays = PROGRAM.set(name);
}

/// The command that runs an experiment, with more words.
pub(crate) fn run_command<W: AsRef<OsStr>>(words: &[W]) -> String {
    let program: Vec<&OsStr> = match PROGRAM.get() {
        Some(program) => vec![program],
        None => vec!["cargo".as_ref(), "xtask".as_ref()],
    };
    let words = words.iter().map(AsRef::as_ref);
    command(program.into_iter().chain(["run".as_ref()]).chain(words))
}

/// A command line of these words, each quoted where it must be.
pub(crate) fn command<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> String {
    let words: Vec<String> = words.into_iter().map(|w| quote(w.as_ref())).collect();
    words.join(" ")
}

/// A path as an argument: never taken for a flag.
pub(crate) fn path(path: &Path) -> Cow<'_, OsStr> {
    if path.as_os_str().as_encoded_bytes().starts_with(b"-") {
        return Cow::Owned(Path::new(".").join(path).into_os_string());
    }
    Cow::Borrowed(path.as_os_str())
}

/// The command that goes on with the run in a folder.
pub(crate) fn resume(dir: &Path) -> String {
    run(dir, &path(dir), &["--resume"])
}

/// The command that repeats the run in a folder.
pub(crate) fn again(dir: &Path) -> String {
    run(dir, "runs/again".as_ref(), &[])
}

/// `run` with the configuration of the run in a folder.
fn run(dir: &Path, out: &OsStr, flags: &[&str]) -> String {
    let config = dir.join("config.toml");
    let config = path(&config);
    let words = [&*config, "--out".as_ref(), out].into_iter();
    run_command(&words.chain(flags.iter().map(OsStr::new)).collect::<Vec<_>>())
}

/// One word: as it is where no shell sees anything in it, in single quotes where it can stand so, and
/// with escapes (bash, zsh, ksh, POSIX 2024) where it holds line breaks or bytes that are no text.
fn quote(word: &OsStr) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@%+=".contains(c);
    match word.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(plain) => text.to_owned(),
        Some(text) if !text.chars().any(char::is_control) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => {
            let mut out = String::from("$'");
            for &byte in word.as_encoded_bytes() {
                match byte {
                    b'\'' | b'\\' => out.extend(['\\', byte.into()]),
                    b' '..=b'~' => out.push(byte.into()),
                    _ => out += &format!("\\{byte:03o}"),
                }
            }
            out + "'"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const WORDS: [&str; 16] = [
        "runs/ode-sde-gap/0f",
        "",
        "my run",
        "it's",
        "a\nb",
        "a\tb\\'c",
        "$(touch no)",
        "`touch no`",
        "$HOME \"x\"",
        "~",
        "-rf",
        "*?[a]",
        "a;b|c&d>e<f",
        "#!",
        "W\u{2082} \u{fc}ber",
        "<script>alert(1)</script>",
    ];

    /// What a shell makes of the words, with a mark after each.
    #[cfg(unix)]
    fn read_by(shell: &str, words: &[&str]) -> Vec<u8> {
        let line = command(["printf", "%s|"].iter().chain(words));
        assert!(!line.contains('\n'), "{line}");
        let out = Command::new(shell).args(["-c", &line]).output().expect("a shell");
        assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    }

    #[test]
    #[cfg(unix)]
    fn shells_read_words_as_they_are() {
        let expected = |words: &[&str]| words.iter().map(|w| format!("{w}|")).collect::<String>();
        let found = read_by("bash", &WORDS);
        assert_eq!(String::from_utf8_lossy(&found), expected(&WORDS));
        let on_one_line: Vec<&str> =
            WORDS.into_iter().filter(|w| !w.chars().any(char::is_control)).collect();
        let found = read_by("sh", &on_one_line);
        assert_eq!(String::from_utf8_lossy(&found), expected(&on_one_line));
    }

    #[test]
    #[cfg(unix)]
    fn bytes_that_are_no_text_come_through() {
        use std::os::unix::ffi::OsStrExt;
        let name = OsStr::from_bytes(b"a\xff 'b");
        let line = command([OsStr::new("printf"), OsStr::new("%s"), name]);
        let out = Command::new("bash").args(["-c", &line]).output().expect("bash");
        assert_eq!(out.stdout, name.as_bytes());
    }

    #[test]
    fn commands_name_folders_that_look_like_flags() {
        assert_eq!(
            resume(Path::new("-my run")),
            "cargo xtask run './-my run/config.toml' --out './-my run' --resume"
        );
        assert_eq!(
            again(Path::new("runs/a")),
            "cargo xtask run runs/a/config.toml --out runs/again"
        );
    }
}
