//! The README and the pages of the book are true: every block of them is run, as one session, the
//! README first and the pages in their order.
//!
//! How a block is run is said by the words after its fence; a block with other words fails the test.
//!
//! | words | how |
//! |---|---|
//! | `console` | its `$ ` lines are one script; it must succeed and print the other lines |
//! | `console eventually` | the same, repeated until it does |
//! | `console daemon` | started, and kept running below it |
//! | `console ctrl-c` | started, interrupted once it has printed the other lines, whatever their numbers |
//! | `python` | must succeed |
//! | `toml` | the shipped `firehose.toml`, or tables for it, which must deliver if they name S3 |
//! | `json` | a line of an error object that the blocks have brought about, whatever its numbers |
//! | `text` | a picture, without commands |
//!
//! In shown output, `…` stands for anything in a line, and a line `…` for any lines. `cargo run
//! --release` is the binary under test, and the port is a free one.

mod overlay;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::book::{self, Page};
use crate::support::command::tool;
use crate::support::daemon::{PATIENCE, free_port, wait_until};
use crate::support::http::{get, metric, post_records};
use crate::support::kinesis::Stream;
use crate::support::lake;
use crate::support::markdown::{self, Block};
use crate::support::needs::needs;
use crate::support::python::python;
use crate::support::servers::{Bucket, Weed};

const SHIPPED: &str = include_str!("../../firehose.toml");
const PORT: &str = "4585";
const READ: &str = "firehose_read_records_total{stream=\"clicks\"}";

#[test]
fn every_block_of_the_readme_and_the_book_is_run_and_does_what_it_shows() {
    let mut session = Session::new();
    let mut lines = Vec::new();
    let mut blocks = markdown::blocks("README.md", include_str!("../../README.md"));
    for Page { name, text } in book::pages() {
        blocks.extend(markdown::blocks(&name, &text));
    }
    for block in blocks {
        match block.words.as_str() {
            "console" => session.run(&block),
            "console eventually" => session.run_eventually(&block),
            "console daemon" => session.start_daemon(&block),
            "console ctrl-c" => session.interrupt(&block),
            "python" => session.run_python(&block),
            "toml" => session.check(&block),
            "json" => lines.push(block),
            // A test of its own holds it to the file that it is.
            "rust,ignore" => {}
            "text" => assert!(
                !block.text.contains("$ "),
                "{block}: a command that is not run"
            ),
            words => panic!("{block}: nothing here knows how to run a block of `{words}`"),
        }
    }
    for block in lines {
        session.assert_written(&block);
    }
    session.stop_daemon();
}

#[test]
fn shown_output_matches_what_it_stands_for_and_nothing_else() {
    assert!(is_shown("a\n", "a\n"));
    assert!(is_shown("a … c\n…\nd\n", "a b c\nx\ny\nd\n"));
    assert!(is_shown("…\n", ""));
    assert!(!is_shown("a\n", "a\nb\n"));
    assert!(!is_shown("a\nb\n", "a\n"));
    assert!(!is_shown("a…a\n", "a\n"));
    assert_eq!(
        without_numbers("12 records 1.5 KiB"),
        without_numbers("7 records 980 B")
    );
    assert_ne!(without_numbers("12 records"), without_numbers("12 errors"));
}

/// A reader's working directory, terminal and daemon.
struct Session {
    dir: tempfile::TempDir,
    port: String,
    daemon: Option<Running>,
}

impl Session {
    fn new() -> Self {
        needs(&["curl"]);
        let dir = tempfile::Builder::new()
            .prefix("firehose-readme-")
            .tempdir()
            .unwrap();
        let port = free_port().to_string();
        fs::write(
            dir.path().join("firehose.toml"),
            SHIPPED.replace(PORT, &port),
        )
        .unwrap();
        // The reader stands in a clone.
        let modules = concat!(env!("CARGO_MANIFEST_DIR"), "/transforms");
        std::os::unix::fs::symlink(modules, dir.path().join("transforms")).unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let firehose = env!("CARGO_BIN_EXE_firehose");
        tool(
            &bin.join("firehose"),
            &format!(
                "case \"$1\" in\n\
                 demo) exec {firehose} \"$@\" --listen 127.0.0.1:{port} ;;\n\
                 put) exec {firehose} \"$@\" --url http://127.0.0.1:{port} ;;\n\
                 *) exec {firehose} \"$@\" ;;\nesac"
            ),
        );
        // `cargo test` is what runs this.
        tool(
            &bin.join("cargo"),
            "case \"$*\" in\n\
             test) exit ;;\n\
             'run --release') exec firehose ;;\n\
             'run --release -- '*) shift 3; exec firehose \"$@\" ;;\n\
             *) echo \"cargo $*: nothing here stands for that\" >&2; exit 1 ;;\nesac",
        );
        Self {
            dir,
            port,
            daemon: None,
        }
    }

    fn run(&self, block: &Block) {
        let (script, shown) = parts(block);
        let printed = self
            .output(self.bash(&script))
            .unwrap_or_else(|why| panic!("{block}: {why}"));
        assert!(is_shown(&shown, &printed), "{block}: printed\n{printed}");
    }

    fn run_eventually(&self, block: &Block) {
        let (script, shown) = parts(block);
        let mut printed = Ok(String::new());
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            printed = self.output(self.bash(&script));
            if printed
                .as_ref()
                .is_ok_and(|printed| is_shown(&shown, printed))
            {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("{block}: never did what it shows, at last {printed:?}");
    }

    fn start_daemon(&mut self, block: &Block) {
        let (script, shown) = parts(block);
        self.daemon = Some(Running::start(self.bash(&format!("exec {script}"))));
        let is_ready = || {
            let address = format!("127.0.0.1:{}", self.port).parse().unwrap();
            get(address, "/readyz").is_ok_and(|reply| reply.status == 200)
        };
        wait_until("the daemon of the README is ready", is_ready);
        assert_eq!(shown, "", "{block}: what a daemon prints is not looked at");
    }

    fn stop_daemon(&mut self) {
        let daemon = self.daemon.take().expect("the README starts a daemon");
        assert!(daemon.end(Signal::TERM), "the README's daemon must drain");
    }

    fn interrupt(&self, block: &Block) {
        let (script, shown) = parts(block);
        let mut running = Running::start(self.bash(&format!("exec {script}")));
        let mut wanted: Vec<String> = shown
            .lines()
            .filter(|line| *line != "…")
            .map(without_numbers)
            .collect();
        while !wanted.is_empty() {
            let line = running.line();
            let line = line.unwrap_or_else(|| panic!("{block}: never printed {wanted:#?}"));
            let line = without_numbers(&line.replace(&self.port, PORT));
            wanted.retain(|wanted| *wanted != line);
        }
        assert!(
            running.end(Signal::INT),
            "{block}: Ctrl-C must end it in exit code 0"
        );
    }

    fn run_python(&self, block: &Block) {
        let mut command = self.command(&python());
        command.arg("-c").arg(block.text.replace(PORT, &self.port));
        self.output(command)
            .unwrap_or_else(|why| panic!("{block}: {why}"));
    }

    /// The shipped file is shown whole. Other tables take the place of the shipped file's.
    fn check(&self, block: &Block) {
        if block.text == SHIPPED {
            return;
        }
        assert!(
            !block.text.contains("state_dir"),
            "{block}: is not the shipped file"
        );
        let mut config = overlay::on_shipped(&block.text);
        self.write(&config);
        let checked = self.output(self.bash("firehose check --config overlaid.toml"));
        checked.unwrap_or_else(|why| panic!("{block}: {why}"));
        let clicks = &config["stream"]["clicks"];
        let is = |table: &str, kind: &str| clicks[table]["type"].as_str() == Some(kind);
        let (is_kinesis, is_s3) = (is("source", "kinesis"), is("destination", "s3"));
        if is_s3 {
            let bucket = Weed::shared().bucket();
            let stream = is_kinesis.then(|| overlay::out_of_a_stream(&mut config));
            overlay::into(&bucket, &mut config);
            self.write(&config);
            self.deliver(&config, stream.as_ref(), &bucket);
        }
    }

    /// Whether a record arrives in the bucket, sent to the daemon or put into the stream that it reads.
    fn deliver(&self, config: &toml::Table, stream: Option<&Stream>, bucket: &Bucket) {
        let daemon = Running::start(self.bash("exec firehose --config overlaid.toml"));
        let address = config["http"]["listen"].as_str().unwrap().parse().unwrap();
        let event = br#"{"event_id":"e-7","event_type":"view","ts":"2026-11-22T10:00:00Z"}"#;
        if let Some(stream) = stream {
            stream.put(event);
            wait_until("the daemon has read the record", || {
                get(address, "/healthz").is_ok() && metric(address, READ) > 0.0
            });
        } else {
            wait_until("the daemon takes a record", || {
                post_records(address, "clicks", event).is_ok_and(|reply| reply.status == 200)
            });
        }
        assert!(
            daemon.end(Signal::TERM),
            "the daemon must drain into the bucket"
        );
        let place = "clicks/event_type=view/year=2026/month=11/day=22/";
        let keys = bucket.keys();
        assert!(keys.iter().any(|key| key.starts_with(place)), "{keys:#?}");
    }

    fn write(&self, config: &toml::Table) {
        let path = self.dir.path().join("overlaid.toml");
        fs::write(path, config.to_string()).unwrap();
    }

    /// Whether the blocks have brought about an error object with this line.
    fn assert_written(&self, block: &Block) {
        let lake = self.dir.path().join("data/out");
        let written = lake::lines(&lake, "errors").into_iter();
        let written: Vec<Value> = written
            .map(|line| serde_json::from_slice(&line).unwrap())
            .collect();
        let shown = serde_json::from_str(&block.text).unwrap();
        let is_there = written.iter().any(|written| are_alike(written, &shown));
        assert!(is_there, "{block}: {written:#?}");
    }

    fn bash(&self, script: &str) -> Command {
        let mut command = self.command(Path::new("bash"));
        command.args(["-euo", "pipefail", "-c", &script.replace(PORT, &self.port)]);
        command
    }

    fn command(&self, program: &Path) -> Command {
        let tools = [
            self.dir.path().join("bin"),
            python().parent().unwrap().to_owned(),
        ];
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = tools
            .into_iter()
            .chain(std::env::split_paths(&path).collect::<Vec<PathBuf>>());
        let mut command = Command::new(program);
        command
            .current_dir(self.dir.path())
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("AWS_PAGER", "")
            .env("CLICKS_SECRET", "clicks-secret-0123456789")
            .stdin(Stdio::null());
        command
    }

    /// What a command prints, with the README's port; the error is what it complained of.
    fn output(&self, mut command: Command) -> Result<String, String> {
        let output = command.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).replace(&self.port, PORT);
        if output.status.success() {
            return Ok(printed);
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(format!("{}\n{printed}{complaint}", output.status))
    }
}

/// A process that runs until told to end; killed when dropped.
struct Running {
    child: Child,
    printed: mpsc::Receiver<String>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (lines, printed) = mpsc::channel();
        std::thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| lines.send(line))
        });
        Self { child, printed }
    }

    /// The next line that it prints; `None` when there is none.
    fn line(&mut self) -> Option<String> {
        self.printed.recv_timeout(PATIENCE).ok()
    }

    /// Sends a signal and waits for the end: whether that was exit code 0.
    fn end(mut self, signal: Signal) -> bool {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let mut status = None;
        wait_until("the process has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The script of a console block, and the output it shows.
fn parts(block: &Block) -> (String, String) {
    let (mut script, mut shown) = (String::new(), String::new());
    for line in block.text.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => writeln!(script, "{command}").unwrap(),
            None => writeln!(shown, "{line}").unwrap(),
        }
    }
    assert!(!script.is_empty(), "{block}: no line begins with `$ `");
    (script, shown)
}

fn is_shown(shown: &str, printed: &str) -> bool {
    fn lines(shown: &[&str], printed: &[&str]) -> bool {
        match shown.split_first() {
            None => printed.is_empty(),
            Some((&"…", rest)) => (0..=printed.len()).any(|at| lines(rest, &printed[at..])),
            Some((line, rest)) => printed
                .split_first()
                .is_some_and(|(first, more)| line_is_shown(line, first) && lines(rest, more)),
        }
    }
    let split = |text: &'_ str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (shown, printed) = (split(shown), split(printed));
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    let printed: Vec<&str> = printed.iter().map(String::as_str).collect();
    lines(&shown, &printed)
}

fn line_is_shown(shown: &str, printed: &str) -> bool {
    let Some((start, rest)) = shown.split_once('…') else {
        return shown == printed;
    };
    let Some(left) = printed.strip_prefix(start) else {
        return false;
    };
    let ends = left.char_indices().map(|(at, _)| at).chain([left.len()]);
    ends.into_iter().any(|at| line_is_shown(rest, &left[at..]))
}

/// A line in which all numbers, units of size and object names are the same.
fn without_numbers(line: &str) -> String {
    let plain = |word: &str| match word.find(|character: char| character.is_ascii_digit()) {
        None if ["B", "KiB", "MiB"].contains(&word) => "B".to_owned(),
        None => word.to_owned(),
        Some(at) => {
            let extension = word.rsplit_once('.').map_or("", |(_, extension)| extension);
            let is_one = extension
                .chars()
                .all(|character| character.is_ascii_lowercase());
            format!("{}0{}", &word[..at], if is_one { extension } else { "" })
        }
    };
    let parts = |word: &str| {
        word.split(['/', '='])
            .map(plain)
            .collect::<Vec<_>>()
            .join("/")
    };
    line.split_whitespace()
        .map(parts)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whether two documents differ in numbers at most, written as numbers or as text.
fn are_alike(one: &Value, other: &Value) -> bool {
    let is_number = |value: &Value| match value {
        Value::Number(_) => true,
        Value::String(text) => text.bytes().all(|byte| byte.is_ascii_digit()),
        _ => false,
    };
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.keys().eq(other.keys())
                && one
                    .values()
                    .zip(other.values())
                    .all(|(one, other)| are_alike(one, other))
        }
        _ => one == other || is_number(one) && is_number(other),
    }
}
