//! The files of new transforms, by language: those of `transforms/templates/` and what they need of
//! firehose's own.

/// A file's path in the new folder, and its text.
pub(super) type TemplateFile = (&'static str, &'static str);

macro_rules! file {
    ($path:literal, $source:literal) => {
        (
            $path,
            include_str!(concat!("../../../transforms/", $source)),
        )
    };
}

pub(super) const RUST: &[TemplateFile] = &[
    file!(".gitignore", "templates/rust/.gitignore"),
    file!("Cargo.toml", "templates/rust/Cargo.toml"),
    file!("README.md", "templates/rust/README.md"),
    file!("pairs.jsonl", "templates/rust/pairs.jsonl"),
    file!("sdk/Cargo.toml", "sdk/Cargo.toml"),
    file!("sdk/src/alloc.rs", "sdk/src/alloc.rs"),
    file!("sdk/src/bindings.rs", "sdk/src/bindings.rs"),
    file!("sdk/src/guest.rs", "sdk/src/guest.rs"),
    file!("sdk/src/json.rs", "sdk/src/json.rs"),
    file!("sdk/src/json/reader.rs", "sdk/src/json/reader.rs"),
    file!("sdk/src/lib.rs", "sdk/src/lib.rs"),
    file!("sdk/src/log.rs", "sdk/src/log.rs"),
    file!("sdk/src/outcome.rs", "sdk/src/outcome.rs"),
    file!("sdk/src/pack.rs", "sdk/src/pack.rs"),
    file!("sdk/src/pairs.rs", "sdk/src/pairs.rs"),
    file!("sdk/src/record.rs", "sdk/src/record.rs"),
    file!("src/lib.rs", "templates/rust/src/lib.rs"),
    file!("wit/transform.wit", "wit/transform.wit"),
];

pub(super) const PYTHON: &[TemplateFile] = &[
    file!(".gitignore", "templates/python/.gitignore"),
    file!("README.md", "templates/python/README.md"),
    file!("app.py", "templates/python/app.py"),
    file!("firehose_transform.py", "python/firehose_transform.py"),
    file!("pairs.jsonl", "templates/python/pairs.jsonl"),
    file!("requirements.txt", "templates/python/requirements.txt"),
    file!("wit/transform.wit", "wit/transform.wit"),
];

pub(super) const JS: &[TemplateFile] = &[
    file!(".gitignore", "templates/js/.gitignore"),
    file!("README.md", "templates/js/README.md"),
    file!("app.js", "templates/js/app.js"),
    file!("firehose_transform.js", "javascript/firehose_transform.js"),
    file!("package.json", "templates/js/package.json"),
    file!("pairs.jsonl", "templates/js/pairs.jsonl"),
    file!("wit/transform.wit", "wit/transform.wit"),
];

pub(super) const C: &[TemplateFile] = &[
    file!(".gitignore", "templates/c/.gitignore"),
    file!("README.md", "templates/c/README.md"),
    file!("firehose_transform.h", "c/firehose_transform.h"),
    file!("pairs.jsonl", "templates/c/pairs.jsonl"),
    file!("transform.c", "templates/c/transform.c"),
];
