//! Modules that harm whoever loads them: what cannot be used at the start stops its own stream and no other,
//! and what a compiler takes for them, or breaks on, is not the daemon's.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use wasm_encoder::{
    BlockType, CodeSection, Component, CustomSection, ElementSection, Elements, EntityType,
    Function, FunctionSection, ImportSection, InstanceSection, Module, ModuleArg, ModuleSection,
    RawSection, RefType, Section, TableSection, TableType, TypeSection, ValType,
};

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
    put(&site, "calm", "b");
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
    let refusals = || {
        let log = fs::read_to_string(site.log()).unwrap();
        let lines = log
            .lines()
            .filter(|line| line.contains("the old one goes on"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let (bombs, mut slowest) = (bombs(), Duration::ZERO);
    for (at, bomb) in bombs.iter().enumerate() {
        let begun = Instant::now();
        lay(&site, bomb.stream, &bomb.bytes);
        let name = bomb.name;
        wait_until(&format!("the bomb of {name} is refused"), || {
            refusals().len() > at
        });
        let (took, bytes) = (begun.elapsed(), bomb.bytes.len());
        slowest = slowest.max(took);
        let said = refusals().pop().unwrap();
        assert!(said.contains(bomb.cause), "{name}: {said}");
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
    put(&site, "calm", "y");
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

/// A module that takes far more than it seems to.
struct Bomb {
    /// The stream that is given it.
    stream: &'static str,
    name: &'static str,
    bytes: Vec<u8>,
    /// What is said of it.
    cause: &'static str,
}

/// Puts a module in the place of a stream's own, whole.
fn lay(site: &Site, stream: &str, module: &[u8]) {
    let unfinished = site.path("unfinished");
    fs::write(&unfinished, module).unwrap();
    fs::rename(unfinished, site.path(format!("{stream}.wasm"))).unwrap();
}

/// The first two compile, but for what that takes.
#[expect(clippy::too_many_lines, reason = "one list, a few lines an entry")]
fn bombs() -> Vec<Bomb> {
    let bomb = |name, bytes, cause| Bomb {
        stream: "slow",
        name,
        bytes,
        cause,
    };
    let mut types = TypeSection::new();
    for _ in 0..1_000_000 {
        types.ty().function([], []);
    }
    let mut imports = ImportSection::new();
    for at in 0..100_000_u32 {
        imports.import("a", &at.to_string(), EntityType::Function(0));
    }
    let mut elements = ElementSection::new();
    let items = vec![0; 4_000_000];
    elements.passive(Elements::Functions((&items[..]).into()));
    let mut tables = TableSection::new();
    tables.table(TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: u64::from(u32::MAX),
        maximum: None,
        shared: false,
    });
    let mut deep = Component::HEADER.to_vec();
    for _ in 0..5000 {
        let mut outer = Component::new();
        outer.section(&RawSection { id: 4, data: &deep });
        deep = outer.finish();
    }
    let mut instances = InstanceSection::new();
    for _ in 0..100_000 {
        instances.instantiate(0, Vec::<(&str, ModuleArg)>::new());
    }
    let mut many = Component::new();
    many.section(&ModuleSection(&Module::new()));
    many.section(&instances);
    let (head, _) = HOSTILE.trim_end().rsplit_once(')').unwrap();
    let with = |more: &str| wat::parse_str(format!("{head}{more})")).unwrap();
    let configure = |first: &str| {
        let head = "(func (export \"configure\") (param $at i32) (param $len i32) (result i32)\n    (local $ret i32)";
        let guest = HOSTILE.replace(head, &format!("{head} {first}"));
        assert_ne!(guest, HOSTILE);
        wat::parse_str(guest).unwrap()
    };
    let memory = HOSTILE.replace("\"memory\") 4)", "\"memory\") 65536)");
    let endless = "(loop $again (br $again))";
    let greedy = "(loop $again (drop (memory.grow (i32.const 1))) (br $again))";
    let start = format!("(func $endless {endless}) (start $endless)");
    let custom = CustomSection {
        name: "x".into(),
        data: vec![0; 200 << 20].into(),
    };
    vec![
        Bomb {
            stream: "large",
            ..bomb(
                "live values",
                functions(1, &live_values(3000)),
                "compile_memory",
            )
        },
        bomb(
            "slow functions",
            functions(30_000, &live_values(20)),
            "compile_timeout",
        ),
        bomb(
            "empty functions",
            functions(900_000, &live_values(0)),
            "900000 functions",
        ),
        bomb("types", module(&[&types]), "1000000 types"),
        bomb("imports", module(&[&imports]), "100000 imports"),
        bomb("element segments", module(&[&elements]), "4000000 items"),
        bomb("tables", module(&[&tables]), "4294967295 elements"),
        bomb("nested components", deep, "components"),
        bomb("instances", many.finish(), "100000 instances"),
        bomb(
            "a custom section",
            module(&[&custom]),
            "the file has 209715",
        ),
        bomb(
            "a large memory",
            wat::parse_str(memory).unwrap(),
            "bytes of memory",
        ),
        bomb(
            "a large table",
            with("(table 10000000 funcref)"),
            "elements in tables",
        ),
        bomb(
            "an endless configure",
            configure(endless),
            "longer than timeout",
        ),
        bomb("a greedy configure", configure(greedy), "bytes of memory"),
        bomb("an endless start", with(&start), "longer than timeout"),
        bomb(
            "garbage",
            b"\0asm\x01\0\0\0\xff\xff\xff\xff".to_vec(),
            "slow.wasm",
        ),
    ]
}

fn module(sections: &[&dyn Section]) -> Vec<u8> {
    let mut bytes = Module::HEADER.to_vec();
    for section in sections {
        section.append_to(&mut bytes);
    }
    bytes
}

/// A module of that many such functions.
fn functions(count: u32, function: &Function) -> Vec<u8> {
    let (mut types, mut declared, mut code) = (
        TypeSection::new(),
        FunctionSection::new(),
        CodeSection::new(),
    );
    types.ty().function([], [ValType::I64]);
    for _ in 0..count {
        declared.function(0);
        code.function(function);
    }
    in_component(&module(&[&types, &declared, &code]))
}

/// A component that holds a core module: whether it fits the contract is seen when it is compiled.
fn in_component(core: &[u8]) -> Vec<u8> {
    let mut component = Component::new();
    component.section(&RawSection { id: 1, data: core });
    component.finish()
}

/// A function that keeps so many values alive across as many calls and branches.
fn live_values(count: u32) -> Function {
    let mut function = Function::new([(count, ValType::I64)]);
    let mut code = function.instructions();
    for local in 0..count {
        code.call(0).local_set(local);
    }
    for local in 0..count {
        code.local_get(local).i32_wrap_i64().if_(BlockType::Empty);
        code.call(0).local_set(local).end();
    }
    code.i64_const(0);
    for local in 0..count {
        code.local_get(local).i64_add();
    }
    code.end();
    function
}

#[test]
fn whatever_happens_to_the_compiler_the_daemon_goes_on_and_takes_it_along() {
    let limits = "compile_timeout = \"2s\"";
    let site = Site::new(&(stream("calm", "") + &with_module("bomb", limits)));
    build(&site, "bomb.wasm", HOSTILE);
    let mut daemon = site.start();
    let slow = functions(10_000, &live_values(100));
    let ends = [
        ("x1", Signal::KILL, "SIGKILL"),
        ("x2", Signal::STOP, "compile_timeout"),
    ];
    for (record, signal, cause) in ends {
        lay(&site, "bomb", &slow);
        let mut compiler = None;
        wait_until("it is compiled", || {
            compiler = compiler_of(&site);
            compiler.is_some()
        });
        let begun = Instant::now();
        kill_process(compiler.unwrap(), signal).unwrap();
        wait_until("the daemon says so", || {
            let log = fs::read_to_string(site.log()).unwrap();
            let said = |line: &str| line.contains("the old one goes on") && line.contains(cause);
            log.lines().any(said)
        });
        say(&format!(
            "modules: a compiler with {signal:?} is given up after {:.1?}",
            begun.elapsed()
        ));
        put(&site, "bomb", record);
        put(&site, "calm", record);
        assert!(compiler_of(&site).is_none());
    }
    for stream in ["bomb", "calm"] {
        delivered(&site, stream, &["x1", "x2"]);
    }
    // Without its parent there is nobody to compile for.
    lay(&site, "bomb", &slow);
    wait_until("it is compiled", || compiler_of(&site).is_some());
    daemon.alive();
    daemon.kill();
    wait_until("the compiler has ended", || compiler_of(&site).is_none());
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
