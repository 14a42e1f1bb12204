//! Imports among files: what a file needs stands below it, and two files at most need each other.
//!
//! A file in a folder may use what the file that names the folder defines: the two are one room. So an import of an
//! ancestor makes no circle; all others count, whether they stand in a `use` or amid the code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::{UNIT_TESTS, files_below, is_test, root, without_comments};

pub(super) type Path = Vec<String>;

#[test]
fn no_circle_of_imports_is_larger_than_two_files() {
    let files = files_below("src").into_iter().filter(|file| !is_test(file));
    let code: BTreeMap<Path, String> = files
        .map(|file| {
            let short = file.strip_prefix(root()).unwrap().display().to_string();
            let code = of_production(&fs::read_to_string(&file).unwrap());
            (module_of(&short), code)
        })
        .collect();
    let modules: BTreeSet<&Path> = code.keys().collect();
    let below: BTreeMap<&Path, BTreeSet<&Path>> = code
        .iter()
        .filter(|(module, _)| module.len() > 1 || !matches!(module[0].as_str(), "lib" | "main"))
        .map(|(module, code)| (module, imports(module, code, &modules)))
        .collect();
    assert!(below.values().map(BTreeSet::len).sum::<usize>() > 500);
    let large: BTreeSet<BTreeSet<String>> = below
        .keys()
        .map(|module| circle(module, &below))
        .filter(|circle| circle.len() > 2)
        .collect();
    assert!(
        large.is_empty(),
        "what several of them need belongs in a file below: {large:#?}"
    );
}

#[test]
fn imports_are_found_wherever_they_stand() {
    let path = |text: &str| -> Path { text.split("::").map(str::to_owned).collect() };
    let all = ["a", "a::b", "a::b::c", "a::d", "e"].map(path);
    let modules: BTreeSet<&Path> = all.iter().collect();
    let found = |module: &str, code: &str| -> Vec<String> {
        let found = imports(&path(module), code, &modules);
        found.into_iter().map(|found| found.join("::")).collect()
    };
    assert_eq!(found("a::b", "use super::{d::{X, Y}, Z};"), ["a::d"]);
    assert_eq!(
        found("a::b", "let x = crate::e::f(c::G);"),
        ["a::b::c", "e"]
    );
    assert_eq!(
        found("a::b::c", "use super::super::d;\nuse super::X;"),
        ["a::d"]
    );
    assert_eq!(
        found("a", "pub(super) use self::b::{self, c};\nd.e::<u8>()"),
        ["a::b", "a::b::c"]
    );
    assert_eq!(
        of_production("use a;\n#[cfg(test)]\nuse b::{\nc};\nd"),
        "use a;\n\nd\n"
    );
}

/// The files that need each other by any way round, with this one.
fn circle(module: &Path, below: &BTreeMap<&Path, BTreeSet<&Path>>) -> BTreeSet<String> {
    let of_it = reached(module, below);
    let back = of_it
        .into_iter()
        .filter(|other| reached(other, below).contains(module));
    back.map(|other| other.join("::")).collect()
}

fn reached<'a>(
    module: &Path,
    below: &BTreeMap<&'a Path, BTreeSet<&'a Path>>,
) -> BTreeSet<&'a Path> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&Path> = below[module].iter().copied().collect();
    while let Some(module) = next.pop() {
        if reached.insert(module) {
            next.extend(below.get(module).into_iter().flatten());
        }
    }
    reached
}

/// What of a file is built for people: no comments, no tests, nothing that only they import.
fn of_production(text: &str) -> String {
    let code = without_comments(text.split(UNIT_TESTS).next().unwrap());
    let mut pieces = code.split("#[cfg(test)]\n");
    let mut kept = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let is_import = piece.split_once("use ").is_some_and(|(before, _)| {
            before.is_empty() || (before.starts_with("pub") && !before.contains('\n'))
        });
        kept += match piece.split_once(';') {
            Some((_, rest)) if is_import => rest,
            _ => piece,
        };
    }
    kept
}

/// The path of the module that a file of `src` is.
pub(super) fn module_of(file: &str) -> Path {
    let path = file.strip_prefix("src/").unwrap();
    let parts = path.trim_end_matches(".rs").split('/');
    parts.map(str::to_owned).collect()
}

/// The files whose items the code names, but for those of which this one is a part.
pub(super) fn imports<'a>(
    module: &Path,
    code: &str,
    modules: &BTreeSet<&'a Path>,
) -> BTreeSet<&'a Path> {
    let mut found = BTreeSet::new();
    let mut rest = code;
    while let Some(start) = rest.find(is_of_name) {
        let before = rest[..start].chars().next_back();
        rest = &rest[start..];
        let mut paths = Vec::new();
        let end = rest.len() - tree(rest, &[], &mut paths).len();
        let is_start = !matches!(before, Some(':' | '.'));
        for path in paths.iter().filter(|path| is_start && path.len() > 1) {
            let path = absolute(module, path);
            let file = (1..=path.len())
                .rev()
                .find_map(|len| modules.get(&path[..len].to_vec()));
            found.extend(file.filter(|file| !module.starts_with(file)));
        }
        rest = &rest[end.max(1)..];
    }
    found
}

/// The path from the crate's root that a path within a file means, if it means one of the crate.
fn absolute(module: &Path, path: &[String]) -> Path {
    let mut from = module.clone();
    let mut rest = path;
    match path[0].as_str() {
        "crate" => {
            from.clear();
            rest = &path[1..];
        }
        "self" => rest = &path[1..],
        _ => {
            while let Some(above) = rest.strip_prefix(&["super".to_owned()]) {
                from.pop();
                rest = above;
            }
        }
    }
    from.extend(rest.iter().filter(|part| *part != "self").cloned());
    from
}

/// Reads a path, or a tree of them, that `text` begins with. Returns what follows it.
fn tree<'t>(text: &'t str, before: &[String], paths: &mut Vec<Path>) -> &'t str {
    let mut path = before.to_vec();
    let mut rest = text.trim_start();
    loop {
        let name = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
        if name > 0 {
            path.push(rest[..name].to_owned());
            rest = &rest[name..];
        } else if let Some(inside) = rest.strip_prefix('{') {
            rest = inside;
            while !rest.starts_with('}') {
                rest = tree(rest, &path, paths).trim_start();
                let Some(next) = rest.strip_prefix(',') else {
                    break;
                };
                rest = next.trim_start();
            }
            return rest.strip_prefix('}').unwrap_or(rest);
        }
        match rest.strip_prefix("::") {
            Some(next) if next.starts_with(|c| is_of_name(c) || c == '{') => rest = next,
            _ => break,
        }
    }
    paths.push(path);
    rest
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
