//! Metering keeps what a module does, and asks whatever it does.

use std::fmt::Write as _;

use proptest::prelude::*;
use wasmtime::{Engine, Instance, Module, ResourceLimiter, Store};

use super::*;

/// A component that changes nothing.
const IDENTITY: &[u8] = include_bytes!("../../../transforms/identity.wasm");

/// A limiter that lets a call go on so many times.
struct Patience(u32);

impl ResourceLimiter for Patience {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        match Growth::of(current, desired) {
            Growth::Real => Ok(true),
            Growth::GivenUp => Err(wasmtime::Error::msg("given up")),
            Growth::Question if self.0 == 0 => Err(wasmtime::Error::msg("out of patience")),
            Growth::Question => {
                self.0 -= 1;
                Ok(false)
            }
        }
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

fn start(wat: &str, loops: Loops, patience: u32) -> wasmtime::Result<(Store<Patience>, Instance)> {
    let wasm = wat::parse_str(wat).expect("it is written well");
    let metered = module::metered(&wasm, loops).expect("it is well-formed");
    let engine = Engine::default();
    let mut store = Store::new(&engine, Patience(patience));
    store.limiter(|patience| patience);
    let instance = Instance::new(&mut store, &Module::new(&engine, metered)?, &[])?;
    Ok((store, instance))
}

/// Runs the export `run`.
fn run(wat: &str, loops: Loops, patience: u32) -> wasmtime::Result<i32> {
    let (mut store, instance) = start(wat, loops, patience)?;
    let run = instance.get_typed_func::<(), i32>(&mut store, "run")?;
    run.call(&mut store, ())
}

/// Functions that each call the next one twice: 2^60 calls without a loop or a circle.
fn doubling() -> String {
    let mut functions = String::new();
    for n in 0..60 {
        let next = n + 1;
        let _ = write!(functions, "(func $f{n} call $f{next} call $f{next})");
    }
    format!(
        "(module {functions} (func $f60) (func (export \"run\") (result i32) call $f0 i32.const 0))"
    )
}

/// Modules whose export never ends, for a loop.
fn endless_loops() -> Vec<(&'static str, String)> {
    let body = |body: &str| {
        format!("(module (memory 1) (func (export \"run\") (result i32) {body} i32.const 0))")
    };
    vec![
        ("a loop", body("(loop br 0)")),
        ("a loop by br_if", body("(loop (br_if 0 (i32.const 1)))")),
        (
            "a loop by br_table",
            body("(loop (br_table 0 0 (i32.const 7)))"),
        ),
        (
            "a loop in a loop",
            body("(loop (loop (br_if 1 (i32.const 1))) br 0)"),
        ),
        (
            "a loop that carries a value",
            body("i32.const 1 (loop (param i32) (result i32) i32.const 1 i32.add br 0) drop"),
        ),
        (
            "large copies",
            body("(loop (memory.copy (i32.const 0) (i32.const 1) (i32.const 60000)) br 0)"),
        ),
        (
            "large fills",
            body("(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 60000)) br 0)"),
        ),
        (
            "growing",
            body("(loop (drop (memory.grow (i32.const 0))) br 0)"),
        ),
        (
            "a loop without a memory",
            "(module (func (export \"run\") (result i32) (loop br 0) i32.const 0))".to_owned(),
        ),
        (
            "a loop beside globals and a table",
            "(module (table 1 funcref) (global i64 (i64.const 5)) (export \"run\" (func 0))
             (func (result i32) (local i64) (loop br 0) i32.const 0))"
                .to_owned(),
        ),
    ]
}

/// Modules whose export never ends, or not before long, for its calls.
fn endless_calls() -> Vec<(&'static str, String)> {
    vec![
        (
            "recursion that branches",
            "(module (func $f (param i32) (result i32)
               (if (result i32) (local.get 0)
                 (then (i32.add (call $f (i32.sub (local.get 0) (i32.const 1)))
                                (call $f (i32.sub (local.get 0) (i32.const 1)))))
                 (else (i32.const 1))))
             (func (export \"run\") (result i32) (call $f (i32.const 60))))"
                .to_owned(),
        ),
        (
            "functions that call each other in a circle",
            "(module (func $even (param i32) (if (local.get 0) (then
                 (call $odd (i32.sub (local.get 0) (i32.const 1)))
                 (call $odd (i32.sub (local.get 0) (i32.const 1))))))
             (func $odd (param i32) (if (local.get 0) (then
                 (call $even (i32.sub (local.get 0) (i32.const 1)))
                 (call $even (i32.sub (local.get 0) (i32.const 1))))))
             (func (export \"run\") (result i32) (call $even (i32.const 60)) (i32.const 0)))"
                .to_owned(),
        ),
        (
            "a circle through a table",
            "(module (type $t (func (param i32))) (table funcref (elem $f))
             (func $f (param i32) (if (local.get 0) (then
                 (call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0))
                 (call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0)))))
             (func (export \"run\") (result i32) (call $f (i32.const 60)) (i32.const 0)))"
                .to_owned(),
        ),
        (
            "tail calls",
            "(module (func $f (result i32) return_call $g) (func $g (result i32) return_call $f)
             (func (export \"run\") (result i32) call $f))"
                .to_owned(),
        ),
        (
            "tail calls through a table",
            "(module (type $t (func (result i32))) (table funcref (elem $f))
             (func $f (result i32) (return_call_indirect (type $t) (i32.const 0)))
             (func (export \"run\") (result i32) call $f))"
                .to_owned(),
        ),
        (
            "recursion that returns from inside of blocks",
            "(module (func $f (param i32) (result i32)
               (block (block
                 (br_if 1 (i32.eqz (local.get 0)))
                 (drop (call $f (i32.sub (local.get 0) (i32.const 1))))
                 (return (call $f (i32.sub (local.get 0) (i32.const 1))))))
               (i32.const 1))
             (func (export \"run\") (result i32) (call $f (i32.const 60))))"
                .to_owned(),
        ),
        (
            "recursion with two results",
            "(module (func $f (param i32) (result i32 i32)
               (if (local.get 0) (then
                 (call $f (i32.sub (local.get 0) (i32.const 1))) drop drop
                 (call $f (i32.sub (local.get 0) (i32.const 1))) drop drop))
               i32.const 1 i32.const 2)
             (func (export \"run\") (result i32) (call $f (i32.const 60)) i32.add))"
                .to_owned(),
        ),
        ("calls that double", doubling()),
        (
            "a start function",
            "(module (func $f (loop br 0)) (start $f)
             (func (export \"run\") (result i32) i32.const 0))"
                .to_owned(),
        ),
    ]
}

#[test]
fn whatever_a_module_does_the_host_is_asked() {
    for (what, wat) in endless_loops().into_iter().chain(endless_calls()) {
        for loops in [Loops::GiveUp, Loops::Ask] {
            let ended = run(&wat, loops, 1).expect_err(what);
            let cause = ended.root_cause().to_string();
            let expected = match loops {
                Loops::GiveUp => ["given up", "out of patience"].as_slice(),
                Loops::Ask => &["out of patience"],
            };
            assert!(expected.contains(&&*cause), "{what}, {loops:?}: {ended:#}");
        }
    }
}

#[test]
fn memories_that_cannot_be_asked_are_refused() {
    let two_imported = "(import \"a\" \"b\" (memory 1)) (import \"a\" \"c\" (memory 1))";
    for memories in ["(memory 1) (memory 1)", "(memory i64 1)", two_imported] {
        // Without code, too: each memory takes addresses when the module is instantiated.
        for code in ["(func)", ""] {
            let wasm = wat::parse_str(format!("(module {memories} {code})"));
            let wasm = wasm.expect("it is written well");
            let refused = module::metered(&wasm, Loops::Ask).expect_err(memories);
            assert!(refused.to_string().contains("one memory"), "{refused:#}");
        }
    }
}

#[test]
fn long_work_goes_on_where_the_host_lets_it() {
    let count = "(module (func (export \"run\") (result i32) (local i32)
        (loop (br_if 0 (i32.lt_u
            (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 20000000))))
        local.get 0))";
    assert_eq!(
        run(count, Loops::Ask, u32::MAX).expect("it may"),
        20_000_000
    );
    let given_up = run(count, Loops::GiveUp, u32::MAX).expect_err("too many turns");
    assert_eq!(given_up.root_cause().to_string(), "given up");
}

#[test]
fn short_work_is_never_asked_about() {
    let sum =
        "(module (func $add (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
        (func (export \"run\") (result i32) (local i32 i32)
        (loop
            (local.set 1 (call $add (local.get 1) (local.get 0)))
            (br_if 0 (i32.lt_u
                (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 1000))))
        local.get 1))";
    for loops in [Loops::GiveUp, Loops::Ask] {
        assert_eq!(run(sum, loops, 0).expect("it is short"), 499_500);
    }
}

#[test]
fn a_function_gives_the_same_by_all_its_ways_out() {
    let ways = "(module
        (func $f (param i32 i32) (result i32)
          (if (i32.lt_s (local.get 0) (i32.const 0)) (then (return (i32.const 1))))
          (block $one (result i32)
            (block $two (result i32)
              (br_table $two $one 2 (i32.const 4) (local.get 0)))
            drop
            (loop (if (local.get 1) (then (return (i32.const 6)))))
            (br_if 1 (i32.const 5) (i32.eqz (local.get 0))))
          (i32.add (i32.const 100)))
        (func (export \"run\") (result i32) (local i32 i32)
          (local.set 0 (i32.const -2))
          (loop
            (local.set 1 (i32.add (i32.mul (local.get 1) (i32.const 10))
              (i32.add
                (call $f (local.get 0) (i32.const 0))
                (call $f (local.get 0) (i32.const 1)))))
            (br_if 0 (i32.lt_s
              (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 5))))
          local.get 1))";
    let wasm = wat::parse_str(ways).expect("it is written well");
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let module = Module::new(&engine, &wasm).expect("it is valid");
    let instance = Instance::new(&mut store, &module, &[]).expect("it starts");
    let plain = instance.get_typed_func::<(), i32>(&mut store, "run");
    let plain = plain.expect("it has one").call(&mut store, ());
    let plain = plain.expect("it ends");
    for loops in [Loops::GiveUp, Loops::Ask] {
        assert_eq!(run(ways, loops, 0).expect("it is short"), plain);
    }
}

/// Copies inside of a memory of 256 bytes that count from 0.
fn copied(to: u32, from: u32, len: u32) -> wasmtime::Result<Vec<u8>> {
    let bytes: String = (0..=255_u8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "\\{byte:02x}");
        text
    });
    let wat = format!(
        "(module (memory (export \"memory\") 1) (data (i32.const 0) \"{bytes}\")
         (func (export \"copy\") (param i32 i32 i32)
             (memory.copy (local.get 0) (local.get 1) (local.get 2))))"
    );
    let (mut store, instance) = start(&wat, Loops::GiveUp, 0)?;
    let copy = instance.get_typed_func::<(u32, u32, u32), ()>(&mut store, "copy")?;
    copy.call(&mut store, (to, from, len))?;
    let memory = instance
        .get_memory(&mut store, "memory")
        .expect("it has one");
    Ok(memory.data(&store)[..512].to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn copies_are_copies(to in 0_u32..256, from in 0_u32..256, len in 0_u32..200) {
        let mut expected: Vec<u8> = (0..=255).collect();
        expected.resize(512, 0);
        let (at, len_) = (from as usize, len as usize);
        expected.copy_within(at..at + len_, to as usize);
        prop_assert_eq!(copied(to, from, len).expect("it is inside"), expected);
    }

    #[test]
    fn copies_beyond_the_end_trap(len in 0_u32..100, beyond in 1_u32..100, swap: bool) {
        let place = 65_536 - len + beyond;
        let (to, from) = if swap { (0, place) } else { (place, 0) };
        prop_assert!(copied(to, from, len).is_err());
    }

    #[test]
    fn torn_and_flipped_modules_are_errors_or_modules(cut in 0_usize..20_000, at in 0_usize..20_000, flip: u8) {
        let mut wasm = IDENTITY.to_vec();
        let at = at % wasm.len();
        wasm[at] ^= flip;
        wasm.truncate(wasm.len() - cut % wasm.len());
        let _ = module::metered(&wasm, Loops::Ask);
        let _ = component(&wasm, Loops::Ask);
    }
}
