//! The policy of the repository, held against the working tree.

use crate::{cargo, docs, layers, modules, policy};
use anyhow::{Context, Result};
use std::path::Path;

const SUMMARY: &str = "docs/src/SUMMARY.md";

/// Every violation, one line each.
pub(crate) fn violations() -> Result<Vec<String>> {
    let root = cargo::root();
    let mut found = layers::violations(&cargo::metadata()?);
    let files = files_below(&root)?;
    let read = |file: &str| {
        std::fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"))
    };
    for file in files.iter().filter(|file| file.ends_with(".rs")) {
        found.extend(policy::violations(file, &read(file)?));
    }
    for manifest in files.iter().filter_map(|file| file.strip_suffix("/Cargo.toml")) {
        let src = format!("{manifest}/src/");
        let sources = files.iter().filter(|f| f.starts_with(&src) && f.ends_with(".rs"));
        let sources = sources.map(|file| Ok((file[src.len()..].to_owned(), read(file)?)));
        found.extend(modules::violations(manifest, &sources.collect::<Result<Vec<_>>>()?)?);
    }
    for file in files.iter().filter(|file| file.ends_with("Cargo.toml") && *file != "Cargo.toml") {
        if !read(file)?.contains("[lints]\nworkspace = true") {
            found.push(format!("{file}: no `[lints] workspace = true`"));
        }
    }
    for file in files.iter().filter(|file| file.ends_with(".md")) {
        let text = read(file)?;
        found.extend(docs::formulas(file, &text));
    }
    let pages: Vec<String> = files
        .iter()
        .filter(|file| file.starts_with("docs/src/") && file.ends_with(".md"))
        .cloned()
        .collect();
    found.extend(docs::unlisted(SUMMARY, &read(SUMMARY)?, &pages));
    found.extend(docs::changelog(&read("CHANGELOG.md")?));
    Ok(found)
}

/// All files below `root`, relative to it with `/`, in order; build output and dot folders left
/// out.
fn files_below(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let path = root.join(&folder);
        let entries =
            std::fs::read_dir(&path).with_context(|| format!("cannot list {}", path.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let relative =
                if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let is_folder = entry.file_type()?.is_dir();
            if is_folder && !left_out(&relative, &name) {
                folders.push(relative);
            } else if !is_folder {
                files.push(relative);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn left_out(relative: &str, name: &str) -> bool {
    name.starts_with('.')
        || ["target", "runs", "docs/book", "fuzz/target", "fuzz/corpus", "fuzz/artifacts"]
            .contains(&relative)
}
