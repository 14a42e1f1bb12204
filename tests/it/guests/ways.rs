//! Every way through `transforms/build`, on machines that are made of stand-ins: what is there, what
//! works and what does not. Each either builds or says in a sentence what to install. That the real
//! compilers build what they shall is for the tests beside this one, and for `.ci/ways`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::root;
use crate::support::command::tool;

/// What any machine has.
const EVERYDAY: &str =
    "bash cat chmod cp dirname env find flock grep install ls mkdir mv rm sed sh sort touch";
/// What the script is told to say where nothing brings wasm32.
const ADD_TARGET: &str = "transforms/build: the installed Rust lacks wasm32-unknown-unknown; install it with: rustup target add wasm32-unknown-unknown\n";
const ADD_CLANG: &str =
    "clang for wasm32 and its linker are missing; install the packages clang and lld\n";

/// A clang that knows wasm32 and looks for a linker as clang does.
const CLANG: &str = r#"case "$*" in
--print-targets) echo wasm32 ;;
-print-prog-name=*) echo wasm-ld ;;
--version) echo clang ;;
*) while [ $# -gt 0 ]; do [ "$1" != -o ] || touch "$2"; shift; done ;;
esac"#;

/// A machine with a clone and nothing else.
struct Machine(TempDir);

impl Machine {
    fn bare() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        for dir in ["bin", "clone", "wasm-std", "rust/lib/rustlib/host/bin"] {
            fs::create_dir_all(machine.path(dir)).unwrap();
        }
        let transforms = machine.path("clone/transforms");
        fs::create_dir_all(transforms.join("c")).unwrap();
        fs::copy(root().join("transforms/build"), transforms.join("build")).unwrap();
        let path = std::env::var_os("PATH").unwrap();
        for name in EVERYDAY.split(' ') {
            let mut found = std::env::split_paths(&path).map(|dir| dir.join(name));
            let found = found.find(|file| file.exists());
            symlink(found.unwrap(), machine.path("bin").join(name)).unwrap();
        }
        machine
    }

    /// With a Rust that lacks wasm32. Its cargo notes how it was called, and makes the modules.
    fn with_rust() -> Self {
        let machine = Self::bare();
        let dir = machine.0.path().display();
        machine.has(
            "rustc",
            &format!(
                "case \"$*\" in\n\
                 *target-libdir*) echo {dir}/wasm-std ;;\n\
                 *sysroot*) echo {dir}/rust ;;\n\
                 *) echo rustc 1.95.0 ;;\nesac"
            ),
        );
        let modules = "identity csv_to_json redact flatten cloudwatch_logs deaggregate filter_sample json_value";
        machine.has(
            "cargo",
            &format!(
                "[ \"$1\" != fetch ] || exit 0\n\
                 echo \"${{RUSTC:-rustc}} $*\" >>{dir}/cargo\n\
                 out=$CARGO_TARGET_DIR/wasm32-unknown-unknown/release\nmkdir -p $out\n\
                 for module in {modules}; do touch $out/$module.wasm; done"
            ),
        );
        fs::write(machine.path("rust/lib/rustlib/host/bin/rust-lld"), "").unwrap();
        machine
    }

    /// With an apt whose packages hold a rustc and a clang.
    fn with_apt(self) -> Self {
        let dir = self.0.path().display().to_string();
        self.has("apt-cache", &format!("cat {dir}/candidate"));
        fs::write(self.path("candidate"), "  Candidate: 1.96.0\n").unwrap();
        self.has(
            "apt-get",
            &format!(
                "case \"$*\" in *\" update\") exit ;; esac\n\
                 for word; do case $word in Dir::Cache::Archives=*) touch ${{word#*=}}/one.deb ;; esac; done\n\
                 echo \"$*\" >>{dir}/apt"
            ),
        );
        fs::create_dir(self.path("packages")).unwrap();
        tool(&self.path("packages/rustc"), "echo rustc 1.96.0");
        tool(&self.path("packages/clang"), CLANG);
        self.has(
            "dpkg-deb",
            &format!("mkdir -p $3/usr/lib/x86_64-linux-gnu && cp -R {dir}/packages $3/usr/bin"),
        );
        self.has("dpkg", "[ \"$2\" != 1.63.0 ]");
        self
    }

    /// With a standard library for wasm32.
    fn with_target(self) -> Self {
        fs::write(self.path("wasm-std/libstd-1.rlib"), "").unwrap();
        self
    }

    fn has(&self, name: &str, script: &str) {
        tool(&self.path("bin").join(name), script);
    }

    fn lacks(&self, name: &str) {
        fs::remove_file(self.path("bin").join(name)).unwrap();
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// What a stand-in has noted.
    fn noted(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Runs the script; the error is what it complained of.
    fn build(&self, what: &str) -> Result<(), String> {
        let output = Command::new(self.path("bin/bash"))
            .arg(self.path("clone/transforms/build"))
            .args(what.split_whitespace())
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("HOME", self.path(""))
            .output()
            .unwrap();
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8(output.stderr).unwrap())
    }

    /// Runs it where something is missing: what it says last is that, and what to install.
    fn must_want(&self, what: &str, sentence: &str) {
        let said = self.build(what).unwrap_err();
        assert!(said.ends_with(sentence), "{said}\nand not\n{sentence}");
    }

    fn must_build(&self, what: &str) {
        self.build(what).unwrap_or_else(|why| panic!("{why}"));
    }
}

#[test]
fn a_rust_with_the_target_is_plain_cargo() {
    let machine = Machine::with_rust().with_target();
    machine.must_build("rust");
    assert!(machine.noted("cargo").starts_with("rustc build --locked"));
    assert!(!machine.noted("cargo").contains("build-std"));
    assert!(
        machine
            .path("clone/target/guests/modules/redact.wasm")
            .exists()
    );
    machine.must_build("install");
    assert!(machine.path("clone/transforms/redact.wasm").exists());
}

#[test]
fn rustup_is_asked_once_for_the_target() {
    let machine = Machine::with_rust();
    let dir = machine.0.path().display();
    machine.has(
        "rustup",
        &format!("echo \"$*\" >>{dir}/rustup; touch {dir}/wasm-std/libstd-1.rlib"),
    );
    machine.must_build("rust");
    machine.must_build("rust");
    assert_eq!(
        machine.noted("rustup"),
        "target add wasm32-unknown-unknown\n"
    );
    assert!(!machine.noted("cargo").contains("build-std"));
}

#[test]
fn without_target_rustup_and_apt_it_says_what_to_install() {
    let machine = Machine::with_rust();
    machine.must_want("rust", ADD_TARGET);
    machine.has("rustup", "echo 'error: could not download' >&2; exit 1");
    machine.must_want("rust", ADD_TARGET);
    // Half a target is none.
    machine.has("rustup", "exit 0");
    machine.must_want("rust", ADD_TARGET);
    fs::remove_file(machine.path("rust/lib/rustlib/host/bin/rust-lld")).unwrap();
    machine.must_want("rust", "has neither wasm32-unknown-unknown nor rust-lld; install it with: rustup target add wasm32-unknown-unknown\n");
    machine.has("rustc", "echo 'no default toolchain' >&2; exit 1");
    machine.must_want(
        "rust",
        "rustc does not run; install Rust: see https://rustup.rs\n",
    );
    machine.lacks("rustc");
    machine.must_want(
        "rust",
        "rustc is missing; install Rust: see https://rustup.rs\n",
    );
    machine.lacks("cargo");
    machine.must_want(
        "rust",
        "cargo is missing; install Rust: see https://rustup.rs\n",
    );
}

#[test]
fn debians_compiler_is_unpacked_once_and_builds_the_library() {
    let machine = Machine::with_rust().with_apt();
    machine.has("rustup", "exit 1");
    machine.must_build("rust");
    machine.must_build("rust");
    let calls = machine.noted("cargo");
    let compiler = machine.path("clone/target/guests/debian/rust/rust");
    assert!(calls.starts_with(compiler.to_str().unwrap()), "{calls}");
    assert!(calls.contains(" -Zbuild-std=std,panic_abort"), "{calls}");
    let apt = machine.noted("apt");
    assert_eq!(apt.lines().count(), 1, "{apt}");
    assert!(
        apt.ends_with(" install rustc-web libstd-rust-web-dev rust-web-src\n"),
        "{apt}"
    );
    // Not the machine's lists, which may be old, missing or another user's.
    assert!(apt.contains("Dir::State::Lists=/"), "{apt}");
}

#[test]
fn what_an_interrupted_run_has_left_is_made_anew() {
    let machine = Machine::with_rust().with_apt();
    let debian = machine.path("clone/target/guests/debian");
    for left in ["rust.part/usr/bin/old", "rust/usr/bin/old"] {
        let left = debian.join(left);
        fs::create_dir_all(left.parent().unwrap()).unwrap();
        fs::write(left, "").unwrap();
    }
    let whole = fs::read(machine.path("bin/dpkg-deb")).unwrap();
    machine.has("dpkg-deb", "mkdir -p $3/usr; exit 1");
    machine.must_want("rust", "one.deb cannot be unpacked; is the disk full?\n");
    fs::write(machine.path("bin/dpkg-deb"), whole).unwrap();
    machine.must_build("rust");
    assert!(!debian.join("rust/usr/bin/old").exists());
    // A library or the interpreter that it needs has gone since.
    fs::write(debian.join("rust/usr/bin/rustc"), "#!/nowhere\n").unwrap();
    machine.must_build("rust");
    assert_eq!(machine.noted("apt").lines().count(), 3);
}

#[test]
fn an_apt_that_has_no_compiler_or_cannot_fetch_it_is_told() {
    let machine = Machine::with_rust().with_apt();
    fs::write(machine.path("candidate"), "  Candidate: 1.63.0\n").unwrap();
    let advice = ADD_TARGET.strip_prefix("transforms/build: ").unwrap();
    let old = format!("apt has rustc-web 1.63.0 here, and 1.88 or later is wanted; {advice}");
    machine.must_want("rust", &old);
    for none in ["", "  Candidate: (none)\n"] {
        fs::write(machine.path("candidate"), none).unwrap();
        machine.must_want(
            "rust",
            &format!("apt has no package rustc-web here; {advice}"),
        );
    }
    fs::write(machine.path("candidate"), "  Candidate: 1.96.0\n").unwrap();
    machine.has("apt-get", "echo 'E: 404' >&2; exit 100");
    let failed = "E: 404\ntransforms/build: apt-get could not download rustc-web libstd-rust-web-dev rust-web-src; ";
    machine.must_want("rust", &format!("{failed}{advice}"));
    machine.lacks("dpkg-deb");
    machine.must_want("rust", ADD_TARGET);
}

#[test]
fn c_takes_the_clang_that_is_there_or_debians_whatever_rust_has() {
    let built = |machine: &Machine| {
        machine
            .path("clone/target/guests/modules/csv-to-json-c.wasm")
            .exists()
    };
    let there = Machine::bare();
    there.has("clang", CLANG);
    there.must_want("c", ADD_CLANG);
    there.has("wasm-ld", "exit");
    there.must_build("c");
    assert!(built(&there));
    // Rust has a linker too.
    let with_rust = Machine::with_rust().with_target();
    let linker = with_rust.path("rust/lib/rustlib/host/bin/gcc-ld");
    fs::create_dir(&linker).unwrap();
    fs::write(linker.join("wasm-ld"), "").unwrap();
    with_rust.has("clang", CLANG);
    with_rust.must_build("c");
    assert!(built(&with_rust));
    // Apple's knows no wasm32.
    there.has("clang", "echo x86-64");
    there.must_want("c", ADD_CLANG);
    Machine::bare().must_want("c", ADD_CLANG);
    // With the target there is nothing unpacked yet, and clang comes all the same.
    for machine in [
        Machine::with_rust().with_target().with_apt(),
        Machine::with_rust().with_apt(),
    ] {
        machine.has("wasm-ld", "exit");
        machine.must_build("");
        machine.must_build("c rust");
        assert!(built(&machine));
        let apt = machine.noted("apt");
        assert_eq!(apt.matches(" install clang lld\n").count(), 1, "{apt}");
    }
}

#[test]
fn python_and_javascript_say_what_they_lack() {
    let machine = Machine::bare();
    machine.must_want(
        "python",
        "python3 is missing; install it with: apt-get install python3 python3-venv\n",
    );
    machine.has("python3", "exit 1");
    machine.must_want(
        "python",
        "python3 cannot make a virtual environment; install venv with: apt-get install python3-venv\n",
    );
    machine.must_want(
        "javascript",
        "node is missing; install it with: apt-get install nodejs npm\n",
    );
    machine.has("node", "exit");
    machine.must_want(
        "javascript",
        "npm is missing; install it with: apt-get install nodejs npm\n",
    );
    machine.has("npm", "exit 1");
    machine.must_want("javascript", "does it reach a registry?\n");
}

#[test]
fn a_crate_that_makes_no_module_is_told_why() {
    let machine = Machine::with_rust().with_target();
    machine.must_want(
        "nowhere",
        "is neither a crate's directory nor one of rust, c, python, javascript, all, install\n",
    );
    machine.has("cargo", "exit");
    let own = machine.path("own");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("Cargo.toml"), "").unwrap();
    machine.must_want(
        own.to_str().unwrap(),
        "its Cargo.toml needs, under [lib]: crate-type = [\"cdylib\"]\n",
    );
}

#[test]
fn the_readme_names_what_the_tests_need() {
    let needs = fs::read_to_string(root().join(".ci/needs")).unwrap();
    let list = needs
        .lines()
        .find_map(|line| line.strip_prefix("all=\""))
        .unwrap();
    let readme = include_str!("../../../README.md");
    let fresh = readme
        .split("A fresh machine (Linux) needs")
        .nth(1)
        .unwrap();
    let fresh = fresh
        .split("\n\n")
        .next()
        .unwrap()
        .replace("C compiler", "cc")
        .replace("rustup", "cargo")
        .replace("Chromium", "chromium");
    for name in list.trim_end_matches('"').split(' ') {
        assert!(
            fresh.contains(name),
            "the README does not say that the tests need {name}: {fresh}"
        );
    }
    assert!(Path::new(root()).join(".ci/needs").exists());
}
