//! Who may name what stands behind a port: stores, formats, parsers and catalogs, each by its own files and its list alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::support::reader;

use super::circles::{self, module_of};
use super::{UNIT_TESTS, files_below, is_test, root, without_comments, words};

/// What stands behind a port: the file with its list, which is also the name of its folder, and how the list begins.
const PORTS: [(&str, &str); 4] = [
    ("src/destination", "pub const STORES"),
    ("src/format", "pub const FORMATS"),
    ("src/parse", "pub const PARSERS"),
    ("src/catalog", "pub const CATALOGS"),
];

/// Names that are words for something else, too, and what that is. Everywhere else the name of a kind is a word that no
/// other code has. One of these is named by its types, by an import of its files, and by its word in quotes.
const EVERYDAY: &[(&str, &str, &str)] = &[
    ("src/destination", "folder", "directories of this machine"),
    ("src/format", "json", "the language, in which records are"),
    ("src/format", "raw", "bytes that are not encoded yet"),
    (
        "src/parse",
        "regex",
        "the language of patterns, and its crate",
    ),
    (
        "src/catalog",
        "glue",
        "the service, of which tables of columns are read",
    ),
];

/// Where other code may name a kind: the file, the kind, how the line begins, and why.
const NAMES_A_KIND: &[(&str, &str, &str, &str)] = &[
    (
        "src/aws.rs",
        "s3",
        "use aws_sdk_s3::",
        "the SDK has there what all its clients share",
    ),
    (
        "src/catalog/places.rs",
        "s3",
        "\"s3a\" | \"s3n\"",
        "other names that Hadoop has for a URL's scheme",
    ),
    (
        "src/config/words.rs",
        "s3",
        "\"Firehose's S3Backup",
        "words of Firehose's for the backup, wherever it goes",
    ),
    (
        "src/http/api/describe.rs",
        "s3",
        "\"S3DestinationDescription\"",
        "the API's words for any destination",
    ),
    (
        "src/http/api/describe.rs",
        "s3",
        "\"ExtendedS3DestinationDescription\"",
        "the same",
    ),
    (
        "src/http/api/describe.rs",
        "s3",
        "description[\"S3Backup",
        "the same",
    ),
    (
        "src/parse/s3_access.rs",
        "s3",
        "word: \"s3-access\"",
        "its logs",
    ),
    (
        "src/format.rs",
        "json",
        "let settings = JsonSettings",
        "what a stream has that names no format",
    ),
    (
        "src/format.rs",
        "raw",
        "let settings = RawSettings",
        "what backups and errors have that name no format",
    ),
    (
        "src/format.rs",
        "parquet",
        "\"write type = \\\"parquet\\\"",
        "what to write for a format that is not there",
    ),
    (
        "src/format/columns/schema/document.rs",
        "avro",
        "",
        "schemas are written in its language",
    ),
    (
        "src/format/columns/schema/document/avro.rs",
        "avro",
        "",
        "the same",
    ),
    (
        "src/checkpoint/aside.rs",
        "json",
        "const TOLD",
        "the extension of a file that people read",
    ),
    (
        "src/config/written/stream.rs",
        "json",
        ".word(\"deaggregate\"",
        "what a record is taken apart by",
    ),
    ("src/http/api/put.rs", "json", "(deaggregate = ", "the same"),
    (
        "src/pipeline/quarantine.rs",
        "raw",
        "damaged.push(set_aside(",
        "the extension of a file that is set aside",
    ),
    (
        "src/config/written/transform.rs",
        "csv",
        "\"name the WebAssembly file",
        "a module, as an example",
    ),
    (
        "src/aws/json.rs",
        "glue",
        "host: ",
        "the service's own name for itself",
    ),
];

#[test]
fn only_its_own_files_and_the_list_name_what_stands_behind_a_port() {
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    let kinds = kinds();
    assert!(kinds.len() >= 18, "{kinds:?}");
    let files: Vec<_> = files_below("src")
        .into_iter()
        .filter(|file| !is_test(file))
        .collect();
    let code: BTreeMap<String, String> = files
        .iter()
        .map(|file| {
            let short = file.strip_prefix(root()).unwrap().display().to_string();
            let text = fs::read_to_string(file).unwrap();
            let code = without_comments(text.split(UNIT_TESTS).next().unwrap());
            let code = without_entries(&short, code);
            (short, code)
        })
        .collect();
    let modules: BTreeSet<_> = code.keys().map(|file| module_of(file)).collect();
    let modules = modules.iter().collect();
    let types = types(&kinds, &code);
    let lines: BTreeMap<&String, Vec<(&str, Vec<String>)>> = code
        .iter()
        .map(|(file, code)| {
            let lines = code.lines().map(|line| (line.trim(), words(line)));
            (file, lines.collect())
        })
        .collect();
    for (file, code) in &code {
        let imports = circles::imports(&module_of(file), code, &modules);
        // Kinds behind two ports may have one name.
        let strangers = kinds.iter().filter(|(_, name)| {
            !kinds
                .iter()
                .any(|(port, other)| other == name && is_of(file, port, other))
        });
        for (port, name) in strangers {
            let is_everyday = EVERYDAY
                .iter()
                .any(|(of, word, _)| of == port && word == name);
            let own_types = &types[&(*port, name.clone())];
            let names_it = |(line, words): &&(&str, Vec<String>)| {
                if is_everyday {
                    names_everyday(line, name, own_types)
                } else {
                    names(words, name)
                }
            };
            for (line, _) in lines[file].iter().filter(names_it) {
                let known = NAMES_A_KIND.iter().position(|(of, kind, begin, _)| {
                    file == of && kind == name && line.starts_with(begin)
                });
                match known {
                    Some(known) => seen.extend([known]),
                    None => wrong.push(format!("{name}: {file}: {line}")),
                }
            }
            let own = module_of(&format!("{port}/{name}.rs"));
            if imports.iter().any(|import| import.starts_with(&own)) {
                wrong.push(format!("{name}: {file}: imports {}", own.join("::")));
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(
        wrong.is_empty(),
        "a question to the port stands for each, or the word is an everyday one (`EVERYDAY`): {wrong:#?}"
    );
    let gone: Vec<_> = (0..NAMES_A_KIND.len())
        .filter(|known| !seen.contains(known))
        .map(|known| NAMES_A_KIND[known])
        .collect();
    assert!(gone.is_empty(), "no code needs these any more: {gone:#?}");
    for (port, word, _) in EVERYDAY {
        let is_kind = kinds.iter().any(|(of, name)| of == port && name == word);
        assert!(is_kind, "{port} has no {word} any more");
        let mut others = lines.iter().filter(|(file, _)| !is_of(file, port, word));
        let is_word = others.any(|(_, lines)| lines.iter().any(|(_, words)| names(words, word)));
        assert!(is_word, "no other code has the word {word} any more");
    }
}

/// So what is looked for is what configs call it, too.
#[test]
fn a_kind_has_the_word_that_its_file_has() {
    let words = reader::kinds().into_iter();
    let words = words.filter(|kind| kind.table != "[stream.NAME.source]");
    let words: BTreeSet<_> = words.map(|kind| kind.word.replace('-', "_")).collect();
    let files: BTreeSet<_> = kinds().into_iter().map(|(_, name)| name).collect();
    assert_eq!(words, files);
}

#[test]
fn what_is_listed_is_found_however_its_files_lie() {
    let text = "/// Kinds.\npub const KINDS: &[&dyn Kind] = &[\n    &folder::FolderKind,\n    &one_file::KIND,\n];\n\
                const OTHERS: &[&dyn Kind] = &[&hidden::HiddenKind];";
    assert_eq!(listed(text, "pub const KINDS"), ["folder", "one_file"]);
    assert_eq!(type_name("one_file"), "OneFile");
    for (port, list) in PORTS {
        let kinds = [
            "    &one_kind::KIND,\n",
            "    &other::OtherKind,\n",
            "    &third::KIND,\n",
        ];
        let text = format!(
            "//! Kinds.\nmod one_kind;\nmod other;\nmod third;\npub use third::Third;\n\
             {list}: &[&dyn Kind] = &[\n{}];\nconst LEFT: u8 = 1;\n",
            kinds.concat()
        );
        for text in [
            text.clone(),
            text.replace("\n    &", "&").replace(",\n]", "]"),
        ] {
            let left = without_entries(&format!("{port}.rs"), text);
            let left: Vec<_> = left.lines().filter(|line| !line.is_empty()).collect();
            assert_eq!(left, ["//! Kinds.", "const LEFT: u8 = 1;"], "{list}");
        }
    }
}

#[test]
fn a_kind_is_named_in_any_spelling_and_an_everyday_word_is_not() {
    for line in [
        "use crate::destination::S3Settings;",
        "\"s3://bucket\"",
        "is_s3()",
        "type = \\\"s3\\\"",
        "S3",
    ] {
        assert!(names(&words(line), "s3"), "{line}");
    }
    assert!(!names(&words("crc32, css3d"), "s3"));
    assert!(
        names(&words("s3_access::LOGS"), "s3_access")
            && !names(&words("s3 has access"), "s3_access")
    );
    let types = ["FolderSettings".to_owned()];
    for line in [
        "x: FolderSettings,",
        "== \"folder\"",
        "type = \\\"folder\\\"",
        "\"folder:/x\"",
    ] {
        assert!(names_everyday(line, "folder", &types), "{line}");
    }
    for line in [
        "let folder = base.join(x);",
        "fn folder(&self)",
        "\"the folder of the file\"",
        "OtherFolderSettings",
    ] {
        assert!(!names_everyday(line, "folder", &types), "{line}");
    }
}

/// All kinds: their port, and the name of their module.
fn kinds() -> Vec<(&'static str, String)> {
    let mut kinds = Vec::new();
    for (port, list) in PORTS {
        let registry = fs::read_to_string(root().join(port).with_extension("rs")).unwrap();
        let names = listed(&registry, list).into_iter().map(str::to_owned);
        kinds.extend(names.map(|name| (port, name)));
    }
    kinds
}

/// Whether a file is one of a kind's own.
fn is_of(file: &str, port: &str, name: &str) -> bool {
    let rest = file
        .strip_prefix(port)
        .and_then(|rest| rest.strip_prefix('/'));
    let rest = rest.and_then(|rest| rest.strip_prefix(name));
    rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// The code of a file without what makes kinds known, where it is the one with the list: `mod`, `pub use`, the list.
fn without_entries(file: &str, mut code: String) -> String {
    let port = PORTS.iter().find(|(port, _)| file == format!("{port}.rs"));
    let Some((_, list)) = port else {
        return code;
    };
    let names: Vec<String> = listed(&code, list).into_iter().map(str::to_owned).collect();
    let heads = names
        .iter()
        .flat_map(|name| [format!("\nmod {name};"), format!("\npub use {name}::")]);
    for head in heads.chain([format!("\n{list}")]) {
        if let Some(start) = code.find(&head) {
            let end = start + code[start..].find(';').unwrap();
            code.replace_range(start..=end, "\n");
        }
    }
    code
}

/// The types of each kind that have its name in theirs, as its own files define them.
fn types<'k>(
    kinds: &'k [(&'static str, String)],
    code: &BTreeMap<String, String>,
) -> BTreeMap<(&'k str, String), Vec<String>> {
    let of_kind = |(port, name): &'k (&'static str, String)| {
        let type_name = type_name(name);
        let own = code.iter().filter(|(file, _)| is_of(file, port, name));
        let words = own.flat_map(|(_, code)| {
            let defines = ["struct ", "enum ", "trait ", "type "];
            defines
                .into_iter()
                .flat_map(|define| code.split(define).skip(1))
        });
        let words = words.map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap());
        let own = words.filter(|word| word.starts_with(&type_name) && word.len() > type_name.len());
        ((*port, name.clone()), own.map(str::to_owned).collect())
    };
    kinds.iter().map(of_kind).collect()
}

/// Whether the words of a line have the name, in whatever spelling.
fn names(words: &[String], name: &str) -> bool {
    let parts: Vec<&str> = name.split('_').collect();
    words.windows(parts.len()).any(|some| some == parts)
}

/// Whether a line means the kind by a name that is a word for something else, too.
fn names_everyday(line: &str, name: &str, types: &[String]) -> bool {
    let word = name.replace('_', "-");
    let mut quoted = [
        format!("\"{word}\""),
        format!("\"{word}\\\""),
        format!("\"{word}:"),
    ]
    .into_iter();
    let mut identifiers = line.split(|c: char| !c.is_alphanumeric() && c != '_');
    quoted.any(|quoted| line.contains(&quoted))
        || identifiers.any(|one| types.iter().any(|own| own == one))
}

/// The modules that a list of kinds names.
fn listed<'a>(registry: &'a str, list: &str) -> Vec<&'a str> {
    let list = registry.split_once(list).unwrap().1;
    let list = list.split_once(';').unwrap().0;
    let entries = list.split('&');
    let modules = entries.filter_map(|entry| Some(entry.split_once("::")?.0));
    modules.collect()
}

/// What the names of a module's types begin with.
fn type_name(module: &str) -> String {
    let parts = module
        .split('_')
        .filter_map(|part| part.split_at_checked(1));
    let words = parts.map(|(head, tail)| head.to_uppercase() + tail);
    words.collect()
}
