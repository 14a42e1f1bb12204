//! The guests in `transforms/`: what is in the repository, what its sources make, and what the examples
//! in other languages make, all held to the same pairs of input and output, in the daemon's own host.

mod ways;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::command::{attempt, succeed, tool};
use crate::support::markdown::blocks;
use crate::support::needs::lacks;

/// The ready-made modules.
const MODULES: [&str; 8] = [
    "cloudwatch-logs",
    "csv-to-json",
    "deaggregate",
    "filter-sample",
    "flatten",
    "identity",
    "json-value",
    "redact",
];
/// Examples that do the job of `csv-to-json`.
const EXAMPLES: [&str; 3] = [
    "csv-to-json-c",
    "csv-to-json-javascript",
    "csv-to-json-python",
];

/// Where the sources have been built to. All tests are told why they could not, and only the first tries.
fn built() -> PathBuf {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let build = || {
        lacks(&["cargo", "cc", "wasm32", "clang", "python3", "node", "npm"])?;
        attempt(Command::new(root().join("transforms/build")).arg("all")).map(drop)
    };
    match BUILT.get_or_init(build) {
        Ok(()) => root().join("target/guests/modules"),
        Err(why) => panic!("{why}"),
    }
}

#[test]
fn modules_in_the_repository_do_what_their_pairs_say() {
    for module in MODULES {
        check(&root().join(format!("transforms/{module}.wasm")), module);
    }
}

#[test]
fn modules_built_from_source_do_what_their_pairs_say() {
    for module in MODULES {
        check(&built().join(format!("{module}.wasm")), module);
    }
}

#[test]
fn the_examples_in_other_languages_do_what_the_pairs_of_csv_to_json_say() {
    for example in EXAMPLES {
        check(&built().join(format!("{example}.wasm")), "csv-to-json");
    }
}

#[test]
fn commands_compile_a_module_once_and_leave_the_state_alone() {
    let dir = tempfile::tempdir().unwrap();
    let module = root().join("transforms/identity.wasm");
    let config = format!(
        "state_dir = \"state\"\n\
         [stream.c]\nsource.type = \"direct-put\"\n\
         destination = {{ type = \"folder\", path = \"lake\" }}\n\
         [[stream.c.transform]]\nmodule = \"{}\"\n",
        module.display()
    );
    fs::write(dir.path().join("firehose.toml"), config).unwrap();
    fs::write(dir.path().join("record"), "{}\n").unwrap();
    let firehose = |cache: &str, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
        command.args(arguments).current_dir(dir.path());
        succeed(command.env("XDG_CACHE_HOME", dir.path().join(cache)))
    };
    let is_cached = |cache: &str| {
        let module = module.to_str().unwrap();
        let facts = firehose(cache, &["transform", "inspect", module, "--json"]);
        let facts: serde_json::Value = serde_json::from_slice(&facts).unwrap();
        facts["compiled"]["cached"].as_bool().unwrap()
    };
    for (cache, command) in [
        ("one", &["check"][..]),
        ("other", &["explain", "c", "record"]),
    ] {
        firehose(cache, command);
        assert!(is_cached(cache), "{command:?} leaves nothing to find");
    }
    // A place where nothing can be written is no fault.
    firehose("record", &["check"]);
    assert!(!is_cached("record"));
    assert!(!dir.path().join("state").exists());
    assert!(!dir.path().join("lake").exists());
}

#[test]
fn a_new_rust_transform_brings_the_whole_sdk() {
    let dir = tempfile::tempdir().unwrap();
    succeed(
        Command::new(env!("CARGO_BIN_EXE_firehose"))
            .args(["transform", "new", "drop-bots", "--lang", "rust"])
            .current_dir(dir.path()),
    );
    let (sdk, copy) = (
        root().join("transforms/sdk"),
        dir.path().join("drop-bots/sdk"),
    );
    for file in ["Cargo.toml", "src"]
        .iter()
        .flat_map(|at| files(&sdk.join(at)))
    {
        let copied = copy.join(file.strip_prefix(&sdk).unwrap());
        assert_eq!(
            fs::read(&copied).ok(),
            fs::read(&file).ok(),
            "{} is not as the SDK has it",
            copied.display()
        );
    }
}

#[test]
fn a_new_rust_transform_is_built_and_tested_as_its_readme_says() {
    follow("rust");
}

#[test]
fn a_new_python_transform_is_built_and_tested_as_its_readme_says() {
    follow("python");
}

#[test]
fn a_new_javascript_transform_is_built_and_tested_as_its_readme_says() {
    follow("js");
}

#[test]
fn a_new_c_transform_is_built_and_tested_as_its_readme_says() {
    follow("c");
}

/// Has a new transform written, and runs the commands of its README.
fn follow(lang: &str) {
    /// What `transforms/build` takes the place of.
    const BY_RUSTUP: &str = "rustup target add wasm32-unknown-unknown && \
                             cargo build --release --target wasm32-unknown-unknown";
    let dir = tempfile::tempdir().unwrap();
    let bin = tools(&dir.path().join("bin"));
    succeed(
        Command::new(bin.join("firehose"))
            .args(["transform", "new", "my-transform", "--lang", lang])
            .current_dir(dir.path()),
    );
    let folder = dir.path().join("my-transform");
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let commands = blocks("README.md", &readme)
        .into_iter()
        .find(|block| block.words == "sh");
    let build = format!("{}/transforms/build .", root().display());
    let commands = commands.expect("a block of commands").text;
    let commands = commands.replace(BY_RUSTUP, &build);
    assert!(
        commands.contains("\nfirehose transform test "),
        "{commands}"
    );
    let path = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&path)));
    succeed(
        Command::new("bash")
            .args(["-euxc", &commands])
            .env("PATH", path.unwrap())
            .env_remove("CARGO_TARGET_DIR")
            .current_dir(folder),
    );
}

/// Makes `bin`, with what a user has who follows a README: firehose, and a clang that finds its linker,
/// neither of which need be installed here.
fn tools(bin: &Path) -> PathBuf {
    let of_rust = Command::new("rustc")
        .args(["--print", "sysroot", "--print", "host-tuple"])
        .output();
    let of_rust = String::from_utf8(of_rust.unwrap().stdout).unwrap();
    let (sysroot, host) = of_rust.trim().split_once('\n').unwrap();
    let linker = format!("{sysroot}/lib/rustlib/{host}/bin/gcc-ld/wasm-ld");
    let unpacked = built().join("../debian/clang/clang");
    let clang = if unpacked.exists() {
        unpacked.display().to_string()
    } else {
        "clang".to_owned()
    };
    fs::create_dir(bin).unwrap();
    let firehose = env!("CARGO_BIN_EXE_firehose");
    let cache = cache();
    let firehose = format!("XDG_CACHE_HOME={} exec {firehose} \"$@\"", cache.display());
    tool(&bin.join("firehose"), &firehose);
    let script = format!("PATH=${{PATH#*:}} exec {clang} -fuse-ld={linker} \"$@\"");
    tool(&bin.join("clang"), &script);
    bin.to_owned()
}

/// All files at or below a path.
fn files(at: &Path) -> Vec<PathBuf> {
    if at.is_file() {
        return vec![at.to_owned()];
    }
    let entries = fs::read_dir(at).unwrap();
    entries
        .flat_map(|entry| files(&entry.unwrap().path()))
        .collect()
}

/// Holds a module to all pairs of a folder, in the host that the daemon runs.
fn check(module: &Path, of: &str) {
    let mut files = 0;
    for entry in fs::read_dir(root().join(format!("transforms/{of}/pairs"))).unwrap() {
        let pairs = entry.unwrap().path();
        succeed(
            Command::new(env!("CARGO_BIN_EXE_firehose"))
                .args(["transform", "test", "--pairs", "--memory", "256MiB"])
                .args([module, &pairs])
                .env("XDG_CACHE_HOME", cache()),
        );
        files += 1;
    }
    assert!(files > 0, "{of} has no pairs");
}

/// Compiled modules are kept here, not in the home of who runs the tests.
fn cache() -> PathBuf {
    root().join("target/test-cache")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
