//! The modules of a crate: at every level, none of them needs itself by way of its neighbours.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Context, Result};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A module's path from the root of its crate; empty for the root.
type Path = Vec<String>;

/// What every child of one module needs among the others, with a file that says so.
type Needs = BTreeMap<String, BTreeMap<String, String>>;

/// A source file of a crate: its path below `src`, the module it is, and its tokens without tests.
struct File {
    name: String,
    module: Path,
    tokens: Vec<TokenTree>,
}

/// The circles among the modules of the crate in the folder `name`, one line each; `sources` are paths below its
/// `src`, with their text.
///
/// # Errors
/// For a file that is no Rust.
pub(crate) fn violations(name: &str, sources: &[(String, String)]) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for (path, text) in sources {
        if let Some(module) = module(path) {
            let stream: TokenStream =
                text.parse().ok().with_context(|| format!("{name}/src/{path} is no Rust"))?;
            files.push(File { name: path.clone(), module, tokens: without_tests(stream) });
        }
    }
    let mut found = Vec::new();
    for (parent, needs) in needs(&files) {
        let mut told = BTreeSet::new();
        for child in needs.keys() {
            let Some(circle) = circle(&needs, child).filter(|_| !told.contains(child)) else {
                continue;
            };
            told.extend(circle.iter().cloned());
            let steps = circle.iter().zip(circle.iter().cycle().skip(1));
            let steps: Vec<String> =
                steps.map(|(a, b)| format!("{a} needs {b} ({})", needs[a][b])).collect();
            let place = if parent.is_empty() {
                String::new()
            } else {
                format!(" of {}", parent.join("::"))
            };
            found.push(format!("{name}: modules{place} in a circle: {}", steps.join(", ")));
        }
    }
    Ok(found)
}

/// The module that a file is; `None` for tests and for binaries beside the library.
fn module(path: &str) -> Option<Path> {
    let mut parts: Path = path.strip_suffix(".rs")?.split('/').map(str::to_owned).collect();
    if parts[0] == "bin" || parts.iter().any(|part| part == "tests") {
        return None;
    }
    parts.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
    Some(parts)
}

/// The graph among the children of every module that has some.
fn needs(files: &[File]) -> BTreeMap<Path, Needs> {
    let mut children: BTreeMap<&[String], BTreeSet<&str>> = BTreeMap::new();
    let mut exports: BTreeMap<&[String], BTreeMap<String, String>> = BTreeMap::new();
    for file in files {
        for depth in 0..file.module.len() {
            children.entry(&file.module[..depth]).or_default().insert(&file.module[depth]);
        }
        exports.entry(&file.module).or_default().extend(exported(file));
    }
    let mut graphs: BTreeMap<Path, Needs> = BTreeMap::new();
    for file in files {
        for path in named(file) {
            // Where the two ways part: the children of one module.
            let common = file.module.iter().zip(&path).take_while(|(a, b)| a == b).count();
            let parent = &file.module[..common];
            let (Some(from), Some(name)) = (file.module.get(common), path.get(common)) else {
                continue;
            };
            let Some(known) = children.get(parent) else { continue };
            let export = || exports.get(parent)?.get(name);
            let Some(to) = known.contains(name.as_str()).then_some(name).or_else(export) else {
                continue;
            };
            if to != from && known.contains(to.as_str()) {
                let needs =
                    graphs.entry(parent.to_vec()).or_default().entry(from.clone()).or_default();
                needs.entry(to.clone()).or_insert_with(|| file.name.clone());
            }
        }
    }
    graphs
}

/// The shortest way from a module back to itself.
fn circle(needs: &Needs, start: &str) -> Option<Vec<String>> {
    let mut before: BTreeMap<&str, &str> = BTreeMap::new();
    let mut next = VecDeque::from([start]);
    while let Some(at) = next.pop_front() {
        for to in needs.get(at).into_iter().flat_map(BTreeMap::keys) {
            if to == start {
                let mut way = vec![at.to_owned()];
                while let Some(previous) = before.get(way[way.len() - 1].as_str()) {
                    way.push((*previous).to_owned());
                }
                way.reverse();
                return Some(way);
            }
            if !before.contains_key(to.as_str()) {
                before.insert(to, at);
                next.push_back(to);
            }
        }
    }
    None
}

/// The names that a module's file gives away as its own, by the child they come from.
fn exported(file: &File) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut tokens = file.tokens.iter();
    while tokens.by_ref().any(|t| is(t, "use")) {
        let path: Vec<TokenTree> = tokens.by_ref().take_while(|t| !is(t, ";")).cloned().collect();
        let mut all = Vec::new();
        follow(&path, &file.module, &file.module, &mut all);
        for (path, name) in all {
            if path.len() > file.module.len() && path.starts_with(&file.module) {
                found.insert(name, path[file.module.len()].clone());
            }
        }
    }
    found
}

/// Every path of a file that begins at the root of the crate or at a module above.
fn named(file: &File) -> BTreeSet<Path> {
    let mut found = Vec::new();
    search(&file.tokens, &file.module, &mut found);
    found.into_iter().map(|(path, _)| path).collect()
}

fn search(tokens: &[TokenTree], module: &[String], found: &mut Vec<(Path, String)>) {
    for (i, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            search(&group.stream().into_iter().collect::<Vec<_>>(), module, found);
        }
        let begins = i == 0 || !is(&tokens[i - 1], ":");
        // (`pub(crate)` begins no path.)
        let goes_on = tokens.get(i + 1).is_some_and(|t| is(t, ":"));
        if begins && goes_on && (is(token, "crate") || is(token, "super")) {
            follow(&tokens[i..], module, &[], found);
        }
    }
}

/// Follows one path, or each of a group, on from the module `at`; what is found has the name it goes by at its end.
fn follow(tokens: &[TokenTree], module: &[String], at: &[String], found: &mut Vec<(Path, String)>) {
    let after = |n: usize| &tokens[n.min(tokens.len())..];
    match tokens.first() {
        Some(TokenTree::Ident(ident)) => {
            let name = ident.to_string();
            let at = match name.as_str() {
                "crate" => Vec::new(),
                "self" => {
                    if at.is_empty() {
                        module.to_vec()
                    } else {
                        at.to_vec()
                    }
                }
                // The first one is counted from the file's own module.
                "super" if at.is_empty() => {
                    module.split_last().map_or_else(Vec::new, |(_, up)| up.to_vec())
                }
                "super" => at.split_last().map_or_else(Vec::new, |(_, up)| up.to_vec()),
                _ => [at, std::slice::from_ref(&name)].concat(),
            };
            match (tokens.get(1), tokens.get(3)) {
                (Some(next), Some(_)) if is(next, ":") => follow_on(after(3), module, &at, found),
                (Some(next), _) if is(next, "as") => {
                    found.push((at, tokens.get(2).map(ToString::to_string).unwrap_or_default()));
                }
                _ => found.push((at, name)),
            }
        }
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            for part in inner.split(|t| is(t, ",")) {
                follow_on(part, module, at, found);
            }
        }
        _ => {}
    }
}

/// As [`follow`], where the path has begun: the root of the crate is a place like any other.
fn follow_on(
    tokens: &[TokenTree],
    module: &[String],
    at: &[String],
    found: &mut Vec<(Path, String)>,
) {
    if at.is_empty() && tokens.first().is_some_and(|t| is(t, "super")) {
        return;
    }
    follow(tokens, module, at, found);
}

fn is(token: &TokenTree, word: &str) -> bool {
    match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Punct(punct) => word.len() == 1 && word.starts_with(punct.as_char()),
        _ => false,
    }
}

/// Tokens without the items that only tests have.
fn without_tests(stream: TokenStream) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut tokens = stream.into_iter();
    while let Some(token) = tokens.next() {
        let TokenTree::Group(group) = &token else {
            kept.push(token);
            continue;
        };
        let after_hash = kept.last().is_some_and(|t| is(t, "#"));
        if after_hash && group.stream().to_string().replace(' ', "") == "cfg(test)" {
            kept.pop();
            let ends = |t: &TokenTree| {
                is(t, ";") || matches!(t, TokenTree::Group(g) if g.delimiter() == Delimiter::Brace)
            };
            // (A `use` ends with its semicolon, also where it has braces.)
            let mut in_use = false;
            for token in tokens.by_ref() {
                in_use |= is(&token, "use");
                if if in_use { is(&token, ";") } else { ends(&token) } {
                    break;
                }
            }
            continue;
        }
        let mut inner = proc_macro2::Group::new(
            group.delimiter(),
            without_tests(group.stream()).into_iter().collect(),
        );
        inner.set_span(group.span());
        kept.push(inner.into());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sources: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> =
            sources.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        violations("made", &files).expect("Rust")
    }

    #[test]
    fn circles_are_found_by_every_kind_of_path() {
        let root = ("lib.rs", "mod a;\nmod b;\npub use b::{Other, Thing as Renamed, deep::Far};");
        let b = ("b/mod.rs", "fn f() { crate::a::g() }");
        for uses in [
            "use crate::b;",
            "use crate::{x, b::Thing};",
            "use crate::{Renamed};",
            "fn f() { crate::Far::new() }",
            "fn f() { vec![crate::b::X] }",
            "use super::b;",
            "use super::{b::{Other}};",
            "use super :: Other;",
        ] {
            let line = "made: modules in a circle: a needs b (a.rs), b needs a (b/mod.rs)";
            assert_eq!(found(&[root, ("a.rs", uses), b]), [line], "{uses}");
        }
        let deep = ("a/inner/leaf.rs", "use super::super::super::b;");
        assert_eq!(found(&[root, deep, b]).len(), 1);
        let deep = ("a/inner/mod.rs", "use super::{super::{b}};");
        assert_eq!(found(&[root, deep, b]).len(), 1);
        let main = ("main.rs", "mod a; mod b;");
        assert_eq!(found(&[main, ("a.rs", "use crate::b;"), b]).len(), 1);
    }

    #[test]
    fn circles_are_found_below_the_top() {
        let root = ("lib.rs", "mod a;");
        let parent = ("a/mod.rs", "mod c;\nmod d;\npub use self::d::Thing;\npub use c::Other;");
        let line = "made: modules of a in a circle: c needs d (a/c.rs), d needs c (a/d/mod.rs)";
        for (c, d) in [
            ("use super::d;", "use super::c;"),
            ("use crate::a::Thing;", "use crate::a::Other;"),
            ("use super::Thing;", "fn f() { crate::a::c::g() }"),
        ] {
            assert_eq!(found(&[root, parent, ("a/c.rs", c), ("a/d/mod.rs", d)]), [line], "{c} {d}");
            assert!(
                found(&[root, parent, ("a/c.rs", c), ("a/d/mod.rs", "use super::NONE;")])
                    .is_empty()
            );
        }
    }

    #[test]
    fn what_is_no_circle_is_none() {
        let root = ("lib.rs", "mod a;\nmod b;\npub use b::Thing;");
        let b = ("b/mod.rs", "use crate::a;");
        for uses in [
            "// crate::b",
            "let s = \"crate::b\";",
            "use super::super::b;",
            "use other::crate_b::b;",
            "struct S {\n    pub(crate) b: u8,\n}",
            "#[cfg(test)]\nmod tests { use crate::b; fn f() {} }\nfn g() {}",
            "#[cfg(test)]\nuse crate::{Thing, b};\nfn g() {}",
            "use crate::a::b;",
        ] {
            assert_eq!(found(&[root, ("a.rs", uses), b]), Vec::<String>::new(), "{uses}");
        }
        assert!(found(&[root, ("a.rs", ""), b, ("a/tests.rs", "use crate::b;")]).is_empty());
        assert!(found(&[root, ("a.rs", ""), b, ("bin/b.rs", "use crate::b;")]).is_empty());
    }

    #[test]
    fn longer_circles_are_told_once() {
        let sources = [
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use crate::b;"),
            ("b.rs", "use crate::c;"),
            ("c.rs", "use crate::a;"),
            ("d.rs", "use crate::a;"),
        ];
        let line =
            "made: modules in a circle: a needs b (a.rs), b needs c (b.rs), c needs a (c.rs)";
        assert_eq!(found(&sources), [line]);
    }
}
