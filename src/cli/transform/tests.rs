//! The tools on a guest that misbehaves on demand.

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::Exit;
use crate::cli::tests::firehose;

/// A folder with the guest and the files of a test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let guest = include_str!("../../transform/tests/guest.wat");
        folder.write("guest.wasm", wat::parse_str(guest).unwrap());
        folder
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// `firehose transform VERB guest.wasm …`; paths are shown as names.
    fn run(&self, verb: &str, arguments: &[&str]) -> (Exit, String, String) {
        let guest = self.path("guest.wasm");
        let (exit, out, err) = firehose(&[&["transform", verb, &guest], arguments].concat());
        let short = |text: String| text.replace(&self.path(""), "");
        (exit, short(out), short(err))
    }
}

#[test]
fn test_shows_what_becomes_of_each_record_and_sums_up() {
    let folder = Folder::new();
    let input = folder.write("in", "abc\n\ndrop\n2x\nfail\ntrap\nkey\nwarning\n0\n");
    let (exit, out, err) = folder.run("test", &[&input]);
    assert_eq!(exit, Exit::Done, "{err}");
    let (records, summary) = out.split_once("8 records").unwrap();
    let expected = "\
1: ok
   out     abc
3: dropped
4: 2 outputs
   out     2x
   out     2x
5: failed, Transform.RecordFailed, 2 attempts
   why     bad
6: failed, Transform.Trap, 2 attempts
   why     wasm trap: wasm `unreachable` instruction executed
7: ok
   out     key
   keys    k=key
8: ok
   out     warning
9: dropped
";
    assert_eq!(records, expected);
    let counts = ": 4 passed with 5 outputs, 2 dropped, 2 failed\n   \
                  1 Transform.RecordFailed\n   1 Transform.Trap\n";
    assert!(summary.starts_with(counts), "{summary}");
    assert!(summary.contains("a record, "), "{summary}");
    // Once in the call that broke, once alone.
    assert!(
        summary.ends_with(" of memory at most, 1 log line\n"),
        "{summary}"
    );
    assert_eq!(err, "log warn: warning\n");
}

#[test]
fn the_outs_of_json_make_a_file_of_expectations() {
    let folder = Folder::new();
    let input = folder.write("in", "abc\ndrop\n2x\nfail\nkey\n\u{1b}[2J\n");
    let (_, out, err) = folder.run("test", &[&input, "--json"]);
    assert!(err.starts_with("6 records: "), "{err}");
    let said: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let outs: Vec<String> = said.iter().map(|said| said["out"].to_string()).collect();
    let outs = outs.join("\n") + "\n";
    let expected = r#"["abc"]
"dropped"
["2x","2x"]
{"failed":"bad"}
[{"data":"key","keys":{"k":"key"}}]
["\u001b[2J"]
"#;
    assert_eq!(outs, expected);
    assert_eq!(said[3]["errorCode"], "Transform.RecordFailed");
    let expect = folder.write("expected.jsonl", outs);
    let (exit, out, _) = folder.run("test", &[&input, "--expect", &expect]);
    assert_eq!(exit, Exit::Done);
    assert!(out.ends_with("\nall 6 are as expected\n"), "{out}");
}

#[test]
fn differences_from_what_is_expected_are_shown_with_their_lines_and_fail() {
    let folder = Folder::new();
    let input = folder.write("in", "abc\n\n2x\ntrap\nsame\n");
    let expect = folder.write(
        "expected.jsonl",
        "[\"abd\"]\n[\"2x\", \"3x\", \"2x\"]\n\n\"dropped\"\n[\"same\"]\n[\"more\"]\n",
    );
    let (exit, out, err) = folder.run("test", &[&input, "--expect", &expect]);
    assert_eq!(exit, Exit::Failed);
    assert_eq!(err, "error: 4 of 5 are not as expected\n");
    let expected = "\
1: not as expected.jsonl:1 expects
 - out     abd
 + out     abc
3: not as expected.jsonl:2 expects
   out     2x
 - out     3x
   out     2x
4: not as expected.jsonl:4 expects
 - dropped
 + failed  wasm trap: wasm `unreachable` instruction executed
 + code    Transform.Trap
expected.jsonl:6 expects a record more
 - out     more
";
    assert!(out.starts_with(expected), "{out}");
    let expect = folder.write("short.jsonl", "[\"abc\"]\n");
    let (exit, out, _) = folder.run("test", &[&input, "--expect", &expect, "--json"]);
    assert_eq!(exit, Exit::Failed);
    let said: Value = serde_json::from_str(out.lines().nth(1).unwrap()).unwrap();
    assert_eq!(
        (&said["line"], &said["expected"]),
        (&3.into(), &Value::Null)
    );
    let expect = folder.write("bad.jsonl", "[\"abc\"]\n\"droped\"\n");
    let (exit, _, err) = folder.run("test", &[&input, "--expect", &expect]);
    assert_eq!(exit, Exit::Failed);
    assert!(
        err.starts_with("error: bad.jsonl:2: \"droped\" is no outcome"),
        "{err}"
    );
}

#[test]
fn pairs_files_are_checked_with_their_configs() {
    let folder = Folder::new();
    let pairs = r#"{"config":{"refuse":1},"error":"refused as configured"}
{"config":{}}
{"in":"a","out":["a"]}
{"in_base64":"AP+A","out":[{"data_base64":"AP+A"}]}
{"in":"","out":[""]}
{"in":"fail","out":{"failed":"bad"}}

{"config":{"x":1}}
{"in":"drop","out":"dropped"}
"#;
    let good = folder.write("good.jsonl", pairs);
    let (exit, out, err) = folder.run("test", &[&good, "--pairs"]);
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    assert!(out.starts_with("5 records: 3 passed"), "{out}");
    assert!(out.ends_with("all 8 are as expected\n"), "{out}");
    let bad = r#"{"config":{"refuse":1}}
{"config":{},"error":"never"}
{"in":"a","out":["b"]}
{"config":{"refuse":1},"error":"refused as configured"}
{"in":"a","out":["b"]}
"#;
    let bad = folder.write("bad.jsonl", bad);
    let (exit, out, err) = folder.run("test", &[&bad, "--pairs"]);
    assert_eq!(exit, Exit::Failed);
    let expected = "\
1: config not as expected
 - accepted
 + refused refused as configured
2: config not as expected
 - refused never
 + accepted
3: not as expected
 - out     b
 + out     a
";
    assert_eq!(out, expected);
    let why = "error: bad.jsonl:5: no record can go through the module, which has refused the \
               config of line 4\n";
    assert_eq!(err, why);
}

#[test]
fn pairs_need_no_config_where_the_module_needs_none() {
    let folder = Folder::new();
    let pairs = folder.write("pairs.jsonl", "{\"in\":\"a\",\"out\":[\"a\"]}\n");
    let (exit, out, err) = folder.run("test", &[&pairs, "--pairs"]);
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    assert!(out.ends_with("all 1 are as expected\n"), "{out}");
    let refused = ["--module-config", "{\"refuse\":1}"];
    let (exit, _, err) = folder.run("test", &[&[&*pairs, "--pairs"], &refused[..]].concat());
    assert_eq!(exit, Exit::Failed);
    let why = "error: pairs.jsonl:1: transform module guest.wasm: configure: refused as configured; \
               a line {\"config\": {…}} before it gives another config\n";
    assert_eq!(err, why);
}

#[test]
fn what_no_pairs_file_can_hold_is_told_with_its_line() {
    let folder = Folder::new();
    for (line, why) in [
        (&b"{\"in\":"[..], "EOF while parsing a value at column 6"),
        (b"{\"out\":[]}", "data is either a text or base64"),
        (
            b"{\"in\":1,\"out\":[]}",
            "a line has either `config` or `in` (`in_base64`) and `out`",
        ),
        (b"\xff", "stream did not contain valid UTF-8"),
    ] {
        let pairs = folder.write("pairs.jsonl", [b"{\"config\":{}}\n\n", line].concat());
        let (exit, _, err) = folder.run("test", &[&pairs, "--pairs"]);
        assert_eq!(
            (exit, err),
            (Exit::Failed, format!("error: pairs.jsonl:3: {why}\n"))
        );
    }
}

#[test]
fn limits_are_those_that_were_asked_for() {
    let folder = Folder::new();
    let input = folder.write("in", "loop\nMore\nOutput\n");
    let limits = [
        "--timeout",
        "20ms",
        "--memory",
        "1MiB",
        "--output",
        "64KiB",
        "--isolation",
        "batch",
    ];
    let (exit, out, _) = folder.run("test", &[&[input.as_str()], &limits[..]].concat());
    assert_eq!(exit, Exit::Done);
    for code in ["Transform.Timeout", "Transform.MemoryLimit"] {
        assert!(out.contains(code), "{code} in\n{out}");
    }
    assert!(out.contains("it may have 1048576"), "{out}");
    let (exit, _, err) = folder.run("test", &[&input, "--memory", "1Mib"]);
    assert_eq!(exit, Exit::Usage);
    assert!(err.contains("did you mean \"1MiB\"?"), "{err}");
}

#[test]
fn a_config_is_given_as_text_or_as_a_file() {
    let folder = Folder::new();
    let input = folder.write("in", "a\n");
    let json = format!("@{}", folder.write("c.json", "{\"refuse\":1}"));
    let toml = format!("@{}", folder.write("c.toml", "refuse = 1"));
    for config in ["{\"refuse\":1}", &json, &toml] {
        let (exit, out, err) = folder.run("test", &[&input, "--module-config", config]);
        assert_eq!((exit, out.as_str()), (Exit::Failed, ""));
        let refusal = "error: transform module guest.wasm: configure: refused as configured\n";
        assert_eq!(err, refusal);
    }
    for (config, message) in [
        ("[1]", "--module-config: a JSON object is wanted"),
        ("@no/such", "--module-config: no/such cannot be read"),
        ("{", "--module-config: not JSON: "),
    ] {
        let (exit, _, err) = folder.run("test", &[&input, "--module-config", config]);
        assert_eq!(exit, Exit::Usage);
        assert!(err.contains(message), "{err}");
    }
    let (exit, _, err) = folder.run("test", &[&input, "--config", "{\"refuse\":1}"]);
    assert_eq!(exit, Exit::Usage);
    assert!(
        err.contains("the module's config is --module-config"),
        "{err}"
    );
}

#[test]
fn inspect_shows_what_a_module_is_without_its_config() {
    let folder = Folder::new();
    let (exit, out, err) = folder.run("inspect", &[]);
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    for line in [
        "module     guest.wasm\n",
        "kind       core module\n",
        "imports    firehose:transform/host@1.0.0, firehose:transform/types@1.0.0\n",
        "fits       firehose:transform/transform@1.0.0\n",
        "calls      some hundred records at a time\n",
        "configure  takes its config, then holds 256.03 KiB of memory\n",
    ] {
        assert!(out.contains(line), "{line} in\n{out}");
    }
    let refusing = ["--module-config", "{\"refuse\":1}"];
    let (exit, _, err) = folder.run("inspect", &refusing);
    assert_eq!(exit, Exit::Failed);
    assert!(
        err.ends_with("guest.wasm: configure: refused as configured\n"),
        "{err}"
    );
    let guest = include_str!("../../transform/tests/guest.wat");
    let always = guest.replace("(i32.gt_u (local.get $len) (i32.const 3))", "(i32.const 1)");
    let always = always.replace(
        "(i32.const 2))) (i32.const 114)",
        "(i32.const 1))) (i32.const 125)",
    );
    folder.write("guest.wasm", wat::parse_str(always).unwrap());
    let (exit, out, _) = folder.run("inspect", &["--json"]);
    assert_eq!(exit, Exit::Done);
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(said["configure"]["error"], "refused as configured");
    assert_eq!(said["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn inspect_says_why_a_module_cannot_be_used_and_what_is_known_of_it() {
    let folder = Folder::new();
    let wat = |text: &str| wat::parse_str(text).unwrap();
    let filesystem = "(component (import \"wasi:filesystem/preopens@0.2.0\" (instance \
                      (export \"get-directories\" (func)))))";
    for (module, why) in [
        (b"hello".to_vec(), "not a WebAssembly file"),
        (wat("(module)"), "does not fit a world"),
        (wat("(component)"), "has no export `configure`"),
        (wat(filesystem), "imports `wasi:filesystem/preopens@0.2.0`"),
    ] {
        folder.write("guest.wasm", &module);
        let (exit, out, err) = folder.run("inspect", &[]);
        assert_eq!(exit, Exit::Failed);
        assert!(err.contains(why), "{err}");
        assert!(
            out.contains(&format!("size       {} bytes\n", module.len())),
            "{out}"
        );
        assert!(!out.contains("fits"), "{out}");
    }
    std::fs::remove_file(folder.path("guest.wasm")).unwrap();
    let (exit, _, err) = folder.run("inspect", &[]);
    assert_eq!(exit, Exit::Failed);
    assert!(
        err.starts_with("error: guest.wasm cannot be read: No such file"),
        "{err}"
    );
}

#[test]
fn bench_states_what_any_machine_would_and_how_fast_this_one_is() {
    let folder = Folder::new();
    let input = folder.write("in", "000000000x\n".repeat(300) + "drop\n2x\nfail\n");
    let (exit, out, err) = folder.run("bench", &[&input, "--threads", "2", "--json"]);
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    let said: Value = serde_json::from_str(&out).unwrap();
    for (name, value) in [
        ("records", 303),
        ("bytes", 3010),
        ("calls", 2),
        ("callRecordsMax", 256),
        ("outputs", 2),
        ("dropped", 301),
        ("failed", 1),
        ("threads", 2),
    ] {
        assert_eq!(said[name], value, "{name} of {said}");
    }
    assert!(said["nsPerRecord"].as_f64().unwrap() > 0.0);
    let empty = folder.write("empty", "\n");
    let (exit, _, err) = folder.run("bench", &[&empty]);
    assert_eq!(
        (exit, err.as_str()),
        (Exit::Failed, "error: empty has no records\n")
    );
}

#[test]
fn new_writes_a_folder_for_each_language_and_says_how_it_goes_on() {
    for (lang, source, command) in [
        ("rust", "src/lib.rs", "  cargo test "),
        ("python", "app.py", "componentize-py -d wit"),
        ("js", "app.js", "  npm run build\n"),
        (
            "c",
            "transform.c",
            "  clang --target=wasm32-unknown-unknown",
        ),
    ] {
        let folder = Folder::new();
        let dir = folder.path("drop-bots");
        let (exit, out, err) = firehose(&["transform", "new", &dir, "--lang", lang]);
        assert_eq!((exit, err.as_str()), (Exit::Done, ""));
        assert!(out.contains(&format!("Next:\n\n  cd {dir}\n  ")), "{out}");
        assert!(out.contains(command), "{out}");
        assert!(out.contains("pairs.jsonl --pairs"), "{out}");
        let read = |name: &str| std::fs::read_to_string(folder.path("drop-bots/") + name).unwrap();
        assert!(read("README.md").contains("drop-bots"));
        assert!(!read("README.md").contains("my-transform"));
        read(source);
        read("pairs.jsonl").lines().for_each(|line| {
            super::pairs::PairLine::parse(line).unwrap();
        });
    }
}

#[test]
fn new_refuses_a_full_folder_and_a_name_that_no_crate_can_have() {
    let folder = Folder::new();
    folder.write("full-file", "");
    std::fs::create_dir(folder.path("full")).unwrap();
    let kept = folder.write("full/kept", "kept");
    let (exit, out, err) = firehose(&["transform", "new", &folder.path("full"), "--lang", "c"]);
    assert_eq!((exit, out.as_str()), (Exit::Failed, ""));
    assert!(err.ends_with("full is not empty\n"), "{err}");
    assert_eq!(std::fs::read_dir(folder.path("full")).unwrap().count(), 1);
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "kept");
    let (exit, _, err) = firehose(&["transform", "new", &folder.path("full-file"), "--lang", "c"]);
    assert_eq!(exit, Exit::Failed);
    assert!(err.contains("cannot be read"), "{err}");
    for name in ["Bots", "1st", "a/..", "drop bots"] {
        let (exit, _, err) = firehose(&["transform", "new", &folder.path(name), "--lang", "c"]);
        assert_eq!(exit, Exit::Usage);
        assert!(err.contains("such as drop-bots"), "{err}");
    }
}

#[test]
fn settings_are_those_of_a_stream_where_one_is_named() {
    let folder = Folder::new();
    let config = r#"[stream.clicks]
source.type = "direct-put"
destination = { type = "folder", path = "out" }
[[stream.clicks.transform]]
module = "guest.wasm"
config = { refuse = 1 }
"#;
    let config = folder.write("firehose.toml", config);
    let input = folder.write("in", "origin\n");
    let (exit, _, err) = folder.run("test", &[&input, "--stream", "clicks", "--config", &config]);
    assert_eq!(exit, Exit::Failed);
    assert!(err.contains("refused as configured"), "{err}");
    let arguments = [
        &input,
        "--stream",
        "clicks",
        "--config",
        &config,
        "--module-config",
        "{}",
    ];
    let (exit, out, _) = folder.run("test", &arguments);
    assert_eq!(exit, Exit::Done);
    assert!(out.starts_with("1: ok\n   out     clicks\n"), "{out}");
    let (exit, _, err) = firehose(&["check", "--config", &config]);
    assert_eq!(exit, Exit::Usage);
    let place = "firehose.toml:5:";
    assert!(
        err.contains(place) && err.contains("configure: refused as configured"),
        "{err}"
    );
}
