//! Modules that harm whoever loads them: what cannot be used at the start stops its own stream and no other,
//! and what a compiler takes for them, or breaks on, is not the daemon's.

mod bombs;

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use bombs::{bombs, slow};

use crate::support::campaign::say;
use crate::support::daemon::{Site, wait_until};
use crate::support::http::{get, post_records};
use crate::support::lake;
use crate::transforms::{HOSTILE, build};

/// A stream that delivers each record at once, with or without a module.
fn stream(name: &str, transform: &str) -> String {
    format!(
        r#"
[stream.{name}.source]
type = "direct-put"
{transform}
[stream.{name}.buffering]
size = "1MiB"
interval = "0s"

[stream.{name}.destination]
type = "folder"
path = "lake/{name}"
prefix = "data/"
error_prefix = "errors/!{{firehose:error-output-type}}/"
"#
    )
}

/// A stream with its own module, `NAME.wasm`.
fn with_module(name: &str, settings: &str) -> String {
    let module = format!("[[stream.{name}.transform]]\nmodule = \"{name}.wasm\"\n{settings}\n");
    stream(name, &module)
}

fn put(site: &Site, stream: &str, record: &str) {
    let reply = post_records(site.address, stream, record.as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{stream}: {}", reply.text());
}

/// The log from some moment on.
struct Log<'s> {
    site: &'s Site,
    from: usize,
}

impl<'s> Log<'s> {
    fn from_now(site: &'s Site) -> Self {
        let from = fs::read_to_string(site.log()).unwrap().len();
        Self { site, from }
    }

    /// Waits for a line with all of these.
    fn said(&self, words: &[&str]) {
        wait_until(&format!("the log says {words:?}"), || {
            let log = fs::read_to_string(self.site.log()).unwrap();
            let mut lines = log[self.from..].lines();
            lines.any(|line| words.iter().all(|word| line.contains(word)))
        });
    }
}

/// Waits until a stream has delivered exactly these records, in any order.
fn delivered(site: &Site, stream: &str, records: &[&str]) {
    wait_until(&format!("{stream} has delivered {records:?}"), || {
        let lines = lake::lines(&site.path("lake").join(stream), "data").into_iter();
        let mut lines: Vec<_> = lines.map(|line| String::from_utf8(line).unwrap()).collect();
        lines.sort();
        lines == records
    });
}

#[test]
fn a_module_that_cannot_be_used_at_the_start_stops_its_own_stream_until_it_is_mended() {
    const REFUSES: &str = "config = { refuse = 1 }";
    // Each with what `/readyz` says of it.
    let bad = [
        ("missing", "", "No such file"),
        ("rubbish", "", "not a WebAssembly file"),
        ("refuses", REFUSES, "configure: refused as configured"),
        ("endless", "timeout = \"100ms\"", "longer than timeout"),
    ];
    let streams = bad.map(|(name, settings, _)| with_module(name, settings));
    let site = Site::new(&(stream("calm", "") + &streams.concat()));
    // While all is well a record is accepted that then has to wait.
    for (name, ..) in bad {
        build(&site, &format!("{name}.wasm"), HOSTILE);
    }
    let text = fs::read_to_string(site.path("firehose.toml")).unwrap();
    let well = text.replace(REFUSES, "").replace("\"0s\"", "\"900s\"");
    fs::write(site.path("firehose.toml"), well).unwrap();
    let daemon = site.start();
    for (name, ..) in bad {
        put(&site, name, "a");
    }
    daemon.kill();
    fs::write(site.path("firehose.toml"), text).unwrap();
    fs::remove_file(site.path("missing.wasm")).unwrap();
    fs::write(site.path("rubbish.wasm"), "rubbish").unwrap();
    build(&site, "endless.wasm", &endless_start());

    let said = site.command(&["check"]).refused(2);
    for (name, _, cause) in bad {
        assert!(said.contains(cause), "{name}: {said}");
    }
    let begun = Instant::now();
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    say(&format!(
        "modules: started beside {} bad ones after {:?}",
        bad.len(),
        begun.elapsed()
    ));
    daemon.take("calm", b"b");
    delivered(&site, "calm", &["b"]);
    wait_until("all four are told of", || {
        let told = get(site.address, "/readyz").unwrap();
        told.status == 503 && told.text().matches("\"state\":\"stopped\"").count() == bad.len()
    });
    let told = get(site.address, "/readyz").unwrap().text();
    for (name, _, cause) in bad {
        assert!(told.contains(cause), "{name}: {told}");
        assert!(
            told.contains(&format!("at {name}.wasm")),
            "the advice: {told}"
        );
        let refused = post_records(site.address, name, b"x").unwrap();
        assert_eq!(refused.status, 503, "{name}: {}", refused.text());
        assert!(refused.text().contains(cause), "{}", refused.text());
    }
    // What is mended begins without a restart, with what had to wait.
    for name in ["missing", "rubbish", "endless"] {
        build(&site, &format!("{name}.wasm"), HOSTILE);
        delivered(&site, name, &["a"]);
        put(&site, name, "x");
        delivered(&site, name, &["a", "x"]);
    }
    let told = get(site.address, "/readyz").unwrap().text();
    assert_eq!(told.matches("\"state\":\"running\"").count(), 4, "{told}");
    // One is left: the stop says so.
    assert_eq!(daemon.terminate().code(), Some(1));
    let log = fs::read_to_string(site.log()).unwrap();
    assert!(
        log.contains("not everything is delivered: refuses: "),
        "{log}"
    );
}

/// A module whose start function does not end.
fn endless_start() -> String {
    let (head, last) = HOSTILE.trim_end().rsplit_once(')').unwrap();
    assert_eq!(last, "");
    format!("{head}  (func $endless (loop $again (br $again)))\n  (start $endless))\n")
}

#[test]
fn a_bomb_is_refused_at_a_reload_and_at_the_start_and_the_daemon_stays_small() {
    // Little, so that all goes fast: with the defaults bombs are larger, and no more.
    const LITTLE: &str = "compile_memory = \"128MiB\"\ntimeout = \"100ms\"";
    let streams = [
        stream("calm", ""),
        with_module("large", LITTLE),
        with_module("slow", &format!("{LITTLE}\ncompile_timeout = \"2s\"")),
    ];
    let site = Site::new(&streams.concat());
    for stream in ["large", "slow"] {
        build(&site, &format!("{stream}.wasm"), HOSTILE);
    }
    let daemon = site.start();
    let (bombs, mut slowest) = (bombs(), Duration::ZERO);
    for (at, bomb) in bombs.iter().enumerate() {
        let log = Log::from_now(&site);
        let begun = Instant::now();
        lay(&site, bomb.stream, &bomb.bytes);
        let name = bomb.name;
        log.said(&["the old one goes on", bomb.cause]);
        let (took, bytes) = (begun.elapsed(), bomb.bytes.len());
        slowest = slowest.max(took);
        say(&format!(
            "modules: {name}, {bytes} bytes: refused after {took:.1?}"
        ));
        // The old module is at work, and nobody beside it has noticed.
        for stream in ["calm", bomb.stream] {
            put(&site, stream, &format!("x{at:02}"));
        }
    }
    let records: Vec<String> = (0..bombs.len()).map(|at| format!("x{at:02}")).collect();
    let of = |stream| {
        let sent = bombs.iter().zip(&records);
        let sent = sent.filter(|(bomb, _)| stream == "calm" || bomb.stream == stream);
        sent.map(|(_, record)| record.as_str()).collect::<Vec<_>>()
    };
    for stream in ["calm", "large", "slow"] {
        delivered(&site, stream, &of(stream));
    }
    let peak = daemon.drain_measured();
    say(&format!(
        "modules: {} bombs reloaded, the slowest took {slowest:.1?}, peak memory of the daemon {} MiB",
        bombs.len(),
        peak >> 20
    ));
    assert!(peak < PEAK_MAX, "{peak}");

    // A start beside two of them: the others serve, and what is mended begins.
    let [large, slow] = [&bombs[0], &bombs[1]];
    for bomb in [large, slow] {
        lay(&site, bomb.stream, &bomb.bytes);
    }
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    daemon.take("calm", b"y");
    wait_until("both are told of", || {
        let told = get(site.address, "/readyz").unwrap().text();
        told.contains(large.cause) && told.contains(slow.cause)
    });
    for stream in ["large", "slow"] {
        build(&site, &format!("{stream}.wasm"), HOSTILE);
    }
    wait_until("all streams run", || {
        get(site.address, "/readyz").unwrap().status == 200
    });
    let peak = daemon.drain_measured();
    say(&format!(
        "modules: a start beside two bombs, peak memory of the daemon {} MiB",
        peak >> 20
    ));
    assert!(peak < PEAK_MAX, "{peak}");
}

/// What the daemon may take, in bytes: it takes some eighty MiB when it does nothing.
const PEAK_MAX: u64 = 160 << 20;

/// Puts a module in the place of a stream's own, whole.
fn lay(site: &Site, stream: &str, module: &[u8]) {
    let unfinished = site.path("unfinished");
    fs::write(&unfinished, module).unwrap();
    fs::rename(unfinished, site.path(format!("{stream}.wasm"))).unwrap();
}

#[test]
fn whatever_happens_to_the_compiler_the_daemon_goes_on_and_takes_it_along() {
    let limits = "compile_timeout = \"2s\"";
    let site = Site::new(&(stream("calm", "") + &with_module("bomb", limits)));
    build(&site, "bomb.wasm", HOSTILE);
    let mut daemon = site.start();
    let slow = slow();
    let log = Log::from_now(&site);
    lay(&site, "bomb", &slow);
    let first = compiler(&site);
    let begun = Instant::now();
    kill_process(first, Signal::KILL).unwrap();
    log.said(&["the old one goes on", "SIGKILL"]);
    put(&site, "bomb", "x1");
    put(&site, "calm", "x1");
    // Nobody has to ask for the next try.
    let second = compiler(&site);
    assert_ne!(first, second);
    say(&format!(
        "modules: a compiler that was killed is tried again after {:.1?}",
        begun.elapsed()
    ));
    let begun = Instant::now();
    kill_process(second, Signal::STOP).unwrap();
    log.said(&["the old one goes on", "compile_timeout", "by the clock"]);
    say(&format!(
        "modules: a compiler that does nothing is given up after {:.1?}",
        begun.elapsed()
    ));
    put(&site, "bomb", "x2");
    put(&site, "calm", "x2");
    for stream in ["bomb", "calm"] {
        delivered(&site, stream, &["x1", "x2"]);
    }
    build(&site, "bomb.wasm", HOSTILE);
    log.said(&["new transform modules are at work"]);
    // Without its parent there is nobody to compile for.
    lay(&site, "bomb", &slow);
    compiler(&site);
    daemon.alive();
    daemon.kill();
    wait_until("the compiler has ended", || compiler_of(&site).is_none());
}

#[test]
fn a_module_that_takes_long_to_compile_delays_no_other_stream() {
    let limits = "compile_timeout = \"10m\"";
    let site = Site::new(&(with_module("slow", limits) + &with_module("swift", limits)));
    for stream in ["slow", "swift"] {
        build(&site, &format!("{stream}.wasm"), HOSTILE);
    }
    let daemon = site.start();
    let log = Log::from_now(&site);
    lay(&site, "slow", &slow());
    let stuck = compiler(&site);
    kill_process(stuck, Signal::STOP).unwrap();
    let begun = Instant::now();
    // A loop that takes long, for which the other module is compiled once more…
    put(&site, "swift", "n");
    delivered(&site, "swift", &["n"]);
    // …and a new one in its place.
    let doubling = HOSTILE.replace("(i32.const 50)) ;; 2", "(i32.const 120)) ;; x");
    build(&site, "swift.wasm", &doubling);
    log.said(&["new transform modules are at work", "swift"]);
    put(&site, "swift", "x");
    delivered(&site, "swift", &["n", "x", "x"]);
    say(&format!(
        "modules: compiled twice and at work after {:.1?} beside one that takes for ever",
        begun.elapsed()
    ));
    assert_eq!(compiler_of(&site), Some(stuck), "it is at it all the while");
    put(&site, "slow", "y");
    delivered(&site, "slow", &["y"]);
    daemon.drain();
}

#[test]
fn what_cannot_be_kept_is_not_compiled_by_the_daemon_and_tried_again() {
    let site = Site::new(&(stream("calm", "") + &with_module("one", "")));
    build(&site, "one.wasm", HOSTILE);
    let cache = site.path("data/state/compiled~");
    // As on a full disk nothing can be written there.
    let modules = cache.join("modules");
    fs::create_dir_all(&cache).unwrap();
    fs::write(&modules, "").unwrap();
    let mut daemon = site.spawn(&[]);
    daemon.alive();
    daemon.take("calm", b"a");
    delivered(&site, "calm", &["a"]);
    let told = || get(site.address, "/readyz").unwrap();
    wait_until("it is told", || {
        let told = told().text();
        told.contains("the compiled code cannot be kept") && told.contains("compiled~/modules")
    });
    assert!(told().text().contains("by itself"), "{}", told().text());
    let refused = post_records(site.address, "one", b"x").unwrap();
    assert_eq!(refused.status, 503, "{}", refused.text());
    let said = refused.text();
    let is_told = said.contains("cannot be kept") && !said.contains("a person");
    assert!(is_told, "{said}");
    // Without a restart, and though the file of the module is as it was.
    fs::remove_file(&modules).unwrap();
    wait_until("all streams run", || told().status == 200);
    put(&site, "one", "x1");
    delivered(&site, "one", &["x1"]);
    // The same with a loop that takes long: the record waits, and does not fail.
    fs::rename(&modules, cache.join("aside")).unwrap();
    fs::write(&modules, "").unwrap();
    let log = Log::from_now(&site);
    let begun = Instant::now();
    put(&site, "one", "n");
    log.said(&["a loop ran for long", "cannot be kept"]);
    put(&site, "one", "x2");
    fs::remove_file(&modules).unwrap();
    delivered(&site, "one", &["n", "x1", "x2"]);
    say(&format!(
        "modules: a record that needs another compilation has waited {:.1?} for room",
        begun.elapsed()
    ));
    daemon.drain();
    let failed = lake::lines(&site.path("lake/one"), "errors");
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn a_new_module_frees_a_stream_that_waits_for_the_old_one() {
    let site = Site::new(&with_module("one", "compile_timeout = \"10m\""));
    build(&site, "one.wasm", HOSTILE);
    let daemon = site.start();
    let log = Log::from_now(&site);
    put(&site, "one", "x");
    delivered(&site, "one", &["x"]);
    // What it has a loop for that takes long, and a compiler that does not come to its end.
    put(&site, "one", "n");
    let stuck = compiler(&site);
    kill_process(stuck, Signal::STOP).unwrap();
    let doubling = HOSTILE
        .replace("(i32.const 110)) ;; n", "(i32.const 120)) ;; x")
        .replace("(i32.const 50)) ;; 2", "(i32.const 110)) ;; n");
    build(&site, "one.wasm", &doubling);
    log.said(&["new transform modules are at work"]);
    delivered(&site, "one", &["n", "n", "x"]);
    assert_eq!(compiler_of(&site), Some(stuck), "it is at it all the while");
    daemon.drain();
    let failed = lake::lines(&site.path("lake/one"), "errors");
    assert!(failed.is_empty(), "{failed:?}");
}

/// Waits for a process that compiles for the site's daemon.
fn compiler(site: &Site) -> Pid {
    let mut compiler = None;
    wait_until("something is compiled", || {
        compiler = compiler_of(site);
        compiler.is_some()
    });
    compiler.unwrap()
}

/// The process that compiles for the site's daemon, if one does.
fn compiler_of(site: &Site) -> Option<Pid> {
    let cache = site.path("data/state").canonicalize().unwrap();
    let cache = cache.to_str().unwrap();
    fs::read_dir("/proc").unwrap().find_map(|entry| {
        let entry = entry.unwrap();
        let pid = entry.file_name().to_str()?.parse().ok()?;
        // It may have ended since.
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line);
        let is_ours = line.contains("compile-module") && line.contains(cache);
        is_ours.then(|| Pid::from_raw(pid)).flatten()
    })
}
