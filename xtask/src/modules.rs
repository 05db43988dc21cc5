//! The modules of a crate: none of those at its top needs itself by way of others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::source::code_of;

/// Circles that are there, by crate and one of their modules, each with its reason.
const KNOWN: &[(&str, &str, &str)] = &[];

/// What a module needs, with a file that says so.
type Needs = BTreeMap<String, BTreeMap<String, String>>;

/// The circles among the top-level modules of the crate in the folder `name`, one line each; `files` are paths below
/// its `src`, with their text.
pub(crate) fn violations(name: &str, files: &[(String, String)]) -> Vec<String> {
    judged(name, files, KNOWN)
}

fn judged(name: &str, files: &[(String, String)], known: &[(&str, &str, &str)]) -> Vec<String> {
    let needs = needs(files);
    let mut found = Vec::new();
    let (mut told, mut excused) = (BTreeSet::new(), BTreeSet::new());
    for module in needs.keys() {
        let Some(circle) = circle(&needs, module).filter(|_| !told.contains(module)) else {
            continue;
        };
        told.extend(circle.iter().cloned());
        let is_known =
            |(of, at, _): &&(&str, &str, &str)| *of == name && circle.iter().any(|m| m == at);
        if let Some((_, at, _)) = known.iter().find(is_known) {
            excused.insert(*at);
            continue;
        }
        let steps = circle.iter().zip(circle.iter().cycle().skip(1));
        let steps = steps.map(|(a, b)| format!("{a} needs {b} ({})", needs[a][b]));
        let steps: Vec<String> = steps.collect();
        found.push(format!("{name}: modules in a circle: {}", steps.join(", ")));
    }
    let gone = known.iter().filter(|(of, at, _)| *of == name && !excused.contains(at));
    found.extend(gone.map(|(_, at, _)| {
        format!("{name}: `{at}` is in no circle any more: take it off the list of known ones")
    }));
    found
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

/// Which top-level modules each of them names, tests left out.
fn needs(files: &[(String, String)]) -> Needs {
    let modules: BTreeSet<&str> = files.iter().filter_map(|(path, _)| top(path)).collect();
    let root = files.iter().find(|(path, _)| path == "lib.rs");
    let root = root.or_else(|| files.iter().find(|(path, _)| path == "main.rs"));
    let exports = root.map(|(_, text)| exports(text)).unwrap_or_default();
    let mut needs = Needs::new();
    for (path, text) in files {
        let Some(module) = top(path) else { continue };
        let own = needs.entry(module.to_owned()).or_default();
        for name in named(&tokens(&without_tests(&code_of(text))), depth(path)) {
            let home =
                if modules.contains(name.as_str()) { Some(&name) } else { exports.get(&name) };
            if let Some(to) = home.filter(|to| *to != module && modules.contains(to.as_str())) {
                own.entry(to.clone()).or_insert_with(|| path.clone());
            }
        }
    }
    needs
}

/// The top-level module that a file belongs to; `None` for roots, binaries and tests.
fn top(path: &str) -> Option<&str> {
    let mut parts = path.split('/');
    let first = parts.next()?;
    let is_test = |part: &str| part == "tests" || part == "tests.rs";
    match first {
        "lib.rs" | "main.rs" | "bin" => None,
        _ if path.split('/').any(is_test) => None,
        _ => Some(first.strip_suffix(".rs").unwrap_or(first)),
    }
}

/// How many modules a file is below the root.
fn depth(path: &str) -> usize {
    path.split('/').filter(|part| *part != "mod.rs").count()
}

/// Names that the root gives to the crate, by the module they come from.
fn exports(text: &str) -> BTreeMap<String, String> {
    let tokens = tokens(&code_of(text));
    let mut found = BTreeMap::new();
    for (i, _) in tokens.iter().enumerate().filter(|(_, t)| *t == "use") {
        let end = tokens[i..].iter().position(|t| t == ";").map_or(tokens.len(), |n| i + n);
        let path = &tokens[i + 1..end];
        let Some(module) = path.iter().find(|t| !["crate", "self", "::"].contains(&t.as_str()))
        else {
            continue;
        };
        // A name is what stands before a comma, a brace or the end.
        for (k, token) in path.iter().enumerate() {
            let last = path.get(k + 1).is_none_or(|next| next == "," || next == "}");
            if last && is_name(token) {
                found.insert(token.clone(), module.clone());
            }
        }
    }
    found
}

/// The first names after the root of the crate in every path that begins there.
fn named(tokens: &[String], depth: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (i, token) in tokens.iter().enumerate() {
        let begins = i == 0 || tokens[i - 1] != "::";
        // (`pub(crate)` begins no path.)
        let goes_on = tokens.get(i + 1).is_some_and(|next| next == "::");
        if begins && goes_on && (token == "crate" || token == "super") {
            heads(tokens, i, 0, depth, &mut found);
        }
    }
    found
}

/// Follows one path, or each of a group, from a module that is `up` levels above the file's.
fn heads(tokens: &[String], i: usize, up: usize, depth: usize, found: &mut BTreeSet<String>) {
    let Some(token) = tokens.get(i) else { return };
    match token.as_str() {
        "crate" => heads(tokens, i + 2, depth, depth, found),
        "super" => heads(tokens, i + 2, up + 1, depth, found),
        "{" => {
            let mut open = 0;
            for k in i..tokens.len() {
                match tokens[k].as_str() {
                    "{" => open += 1,
                    "}" => open -= 1,
                    _ => {}
                }
                if open == 0 {
                    return;
                }
                if open == 1 && ["{", ","].contains(&tokens[k].as_str()) {
                    heads(tokens, k + 1, up, depth, found);
                }
            }
        }
        name if up == depth && is_name(name) => {
            found.insert(name.to_owned());
        }
        _ => {}
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::`, and every other character that is no space.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let (mut name, mut rest) = (String::new(), code.chars().peekable());
    while let Some(c) = rest.next() {
        if c.is_alphanumeric() || c == '_' {
            name.push(c);
            continue;
        }
        if !name.is_empty() {
            tokens.push(std::mem::take(&mut name));
        }
        if c == ':' && rest.peek() == Some(&':') {
            rest.next();
            tokens.push("::".into());
        } else if !c.is_whitespace() {
            tokens.push(c.into());
        }
    }
    tokens.extend(Some(name).filter(|name| !name.is_empty()));
    tokens
}

/// Code without the items that only tests have.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut parts = code.split(MARK);
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut open = 0_usize;
        let end = part.find(|c: char| {
            match c {
                '{' => open += 1,
                '}' => open = open.saturating_sub(1),
                _ => {}
            }
            open == 0 && (c == ';' || c == '}')
        });
        kept.push_str(end.map_or("", |end| &part[end + 1..]));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(sources: &[(&str, &str)]) -> Vec<(String, String)> {
        sources.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
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
            "use super::b;",
            "use super::{b::{Other}};",
            "use super :: Other;",
        ] {
            let found = violations("made", &files(&[root, ("a.rs", uses), b]));
            let line = "made: modules in a circle: a needs b (a.rs), b needs a (b/mod.rs)";
            assert_eq!(found, [line], "{uses}");
        }
        let deep = ("a/inner/leaf.rs", "use super::super::super::b;");
        assert_eq!(violations("made", &files(&[root, deep, b])).len(), 1);
        let deep = ("a/inner/mod.rs", "use super::{super::{b}};");
        assert_eq!(violations("made", &files(&[root, deep, b])).len(), 1);
        let main = ("main.rs", "mod a; mod b;");
        assert_eq!(violations("made", &files(&[main, ("a.rs", "use crate::b;"), b])).len(), 1);
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
            "#[cfg(test)]\nuse crate::Thing;\nfn g() {}",
            "use crate::a::b;",
        ] {
            let found = violations("made", &files(&[root, ("a.rs", uses), b]));
            assert_eq!(found, Vec::<String>::new(), "{uses}");
        }
        let tests = [root, ("a.rs", ""), b, ("a/tests.rs", "use crate::b;")];
        assert_eq!(violations("made", &files(&tests)), Vec::<String>::new());
        let binary = [root, ("a.rs", ""), b, ("bin/b.rs", "use crate::b;")];
        assert_eq!(violations("made", &files(&binary)), Vec::<String>::new());
    }

    #[test]
    fn longer_circles_are_told_once_and_known_ones_are_watched() {
        let sources = files(&[
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use crate::b;"),
            ("b.rs", "use crate::c;"),
            ("c.rs", "use crate::a;"),
            ("d.rs", "use crate::a;"),
        ]);
        let line =
            "made: modules in a circle: a needs b (a.rs), b needs c (b.rs), c needs a (c.rs)";
        assert_eq!(violations("made", &sources), [line]);
        let known = |at| judged("made", &sources, &[("made", at, "a reason")]);
        assert_eq!(known("b"), Vec::<String>::new());
        let stale = known("d");
        assert_eq!(stale[0], line);
        assert!(stale[1].contains("`d` is in no circle any more"), "{stale:?}");
    }
}
