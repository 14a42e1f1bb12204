//! Tests of the transform stage, on a guest that misbehaves on demand.

mod instances;
mod numbers;
mod reloads;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use super::{Chain, CompilerProcess, Engine, Level, Observer, TransformedPiece, Workshop};
use crate::config::{Isolation, TransformSettings};
use crate::failure::FailedRecord;
use crate::position::Sequence;
use crate::record::{Chunk, ChunkBuilder};
use crate::telemetry::Metrics;

/// Compiled once for all tests of the process.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::start(None, CompilerProcess::Here).unwrap())
}

struct Guest {
    dir: TempDir,
    log: Arc<Mutex<Vec<(Level, String)>>>,
}

impl Guest {
    fn new() -> Self {
        Self::of(include_str!("tests/guest.wat"))
    }

    fn of(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let wasm = wat::parse_str(text).unwrap();
        std::fs::write(dir.path().join("guest.wasm"), wasm).unwrap();
        Self {
            dir,
            log: Arc::default(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("guest.wasm")
    }

    fn settings(&self) -> TransformSettings {
        settings(&self.path())
    }

    fn observer(&self) -> Observer {
        let log = Arc::clone(&self.log);
        let sink = move |level, line: &str| log.lock().unwrap().push((level, line.to_owned()));
        Observer::of_log(Arc::new(sink)).unwrap()
    }

    fn chain(&self, settings: &[TransformSettings]) -> Result<Arc<Chain>, String> {
        let observers = vec![self.observer(); settings.len()];
        let chain = Chain::load(engine(), "clicks", settings, &observers);
        chain
            .map(Arc::new)
            .map_err(|error| crate::error::with_causes(&error))
    }

    fn workshop(&self, settings: &[TransformSettings]) -> Workshop {
        Workshop::new(self.chain(settings).unwrap())
    }
}

fn settings(module: &Path) -> TransformSettings {
    TransformSettings {
        timeout: Duration::from_millis(50),
        memory: 16 << 20,
        output: 1 << 20,
        ..TransformSettings::of(module.to_owned())
    }
}

fn chunk(records: &[&str]) -> Chunk {
    let mut chunk = ChunkBuilder::with_room(0, 0);
    for (index, record) in (0..).zip(records) {
        chunk.push(record.as_bytes(), 1_700_000_000_000, Sequence(index));
    }
    chunk.finish()
}

/// Takes a whole chunk through, piece by piece.
fn work(workshop: &mut Workshop, chunk: &Chunk) -> Vec<TransformedPiece> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < chunk.len() {
        let piece = workshop.work(chunk, start..chunk.len());
        assert!(piece.end > start, "a piece takes at least one record");
        start = piece.end;
        pieces.push(piece);
    }
    pieces
}

/// What came out, as text with the source's sequence number and the output's number.
fn outputs(pieces: &[TransformedPiece]) -> Vec<(u64, u32, String)> {
    let records = pieces.iter().flat_map(|piece| piece.outputs.iter());
    records
        .map(|record| {
            let text = String::from_utf8_lossy(record.data).into_owned();
            (
                record.position.sequence.folded(),
                record.output.unwrap(),
                text,
            )
        })
        .collect()
}

/// Source, transform code, attempts and message of what failed.
fn failures(pieces: &[TransformedPiece]) -> Vec<(u64, &'static str, u32, String)> {
    let failed = pieces.iter().flat_map(|piece| &piece.failed);
    failed
        .map(|failed| {
            let sequence = failed.record().position.sequence.folded();
            let code = failed.failure.transform.as_ref().unwrap().code;
            (
                sequence,
                code,
                failed.attempts,
                failed.failure.message.to_string(),
            )
        })
        .collect()
}

fn codes(pieces: &[TransformedPiece]) -> Vec<(u64, &'static str, u32)> {
    let failures = failures(pieces).into_iter();
    failures
        .map(|(at, code, attempts, _)| (at, code, attempts))
        .collect()
}

#[test]
fn a_module_that_speaks_as_metering_does_is_answered_as_any() {
    let guest = Guest::new();
    let mut workshop = guest.workshop(&[guest.settings()]);
    for _ in 0..3 {
        let pieces = work(&mut workshop, &chunk(&["abc", "grow", "d"]));
        let expected = [(0, 0, "abc".into()), (1, 0, "grow".into())];
        assert_eq!(outputs(&pieces), expected);
        assert_eq!(failures(&pieces), []);
    }
}

#[test]
fn a_packed_result_that_does_not_add_up_is_the_fault_of_one_record() {
    let guest = Guest::of(include_str!("tests/packed.wat"));
    let mut workshop = guest.workshop(&[guest.settings()]);
    for _ in 0..2 {
        let pieces = work(&mut workshop, &chunk(&["abc", "x", "d"]));
        assert_eq!(outputs(&pieces), [(0, 0, "abc".into()), (2, 0, "d".into())]);
        assert_eq!(codes(&pieces), [(1, "Transform.BadResult", 2)]);
    }
}

#[test]
fn a_loop_may_take_what_timeout_gives() {
    let guest = Guest::new();
    let mut settings = guest.settings();
    settings.timeout = Duration::from_hours(1);
    let mut workshop = guest.workshop(&[settings]);
    for _ in 0..2 {
        let pieces = work(&mut workshop, &chunk(&["abc", "never ends soon", "d"]));
        assert_eq!(
            outputs(&pieces),
            [(0, 0, "abc".into()), (1, 0, "never ends soon".into())]
        );
        assert_eq!(failures(&pieces), []);
    }
}

#[test]
fn each_record_has_the_outcome_that_the_module_gives_it() {
    let guest = Guest::new();
    let mut workshop = guest.workshop(&[guest.settings()]);
    let pieces = work(
        &mut workshop,
        &chunk(&["abc", "drop", "2x", "fail", "0", "", "origin", "key"]),
    );
    assert_eq!(
        outputs(&pieces),
        [
            (0, 0, "abc".into()),
            (2, 0, "2x".into()),
            (2, 1, "2x".into()),
            (5, 0, String::new()),
            (6, 0, "clicks".into()),
            (7, 0, "key".into()),
        ]
    );
    assert_eq!(pieces.iter().map(|piece| piece.dropped).sum::<u64>(), 2);
    assert_eq!(
        failures(&pieces),
        [(3, "Transform.RecordFailed", 1, "bad".into())]
    );
    let last = pieces[0].outputs.len() - 1;
    assert_eq!(
        pieces[0].outputs.record(last).keys,
        [("k".to_owned(), "key".to_owned())]
    );
}

#[test]
fn a_record_that_breaks_a_call_fails_alone() {
    let broken = [
        ("trap", "Transform.Trap", "unreachable"),
        ("panic", "Transform.Trap", "the guest says why"),
        ("loop", "Transform.Timeout", "longer than timeout"),
        ("recurse", "Transform.Trap", "stack"),
        ("More", "Transform.MemoryLimit", "it may have 16777216"),
        ("Output", "Transform.OutputLimit", "output"),
        ("Alias", "Transform.OutputLimit", "output"),
        ("count", "Transform.WrongCount", "0 outcomes for 1 records"),
        ("utf-8", "Transform.BadResult", "utf-8"),
    ];
    let guest = Guest::new();
    for isolation in [Isolation::Reuse, Isolation::Batch] {
        let mut workshop = guest.workshop(&[TransformSettings {
            isolation,
            ..guest.settings()
        }]);
        for (record, code, message) in broken {
            let pieces = work(&mut workshop, &chunk(&["a", record, "b"]));
            let passed = outputs(&pieces);
            assert_eq!(passed, [(0, 0, "a".into()), (2, 0, "b".into())], "{record}");
            let failures = failures(&pieces);
            assert_eq!(failures.len(), 1, "{record}: {failures:?}");
            let (at, found, attempts, said) = &failures[0];
            // Once with the others, once alone.
            assert_eq!((*at, *found, *attempts), (1, code, 2), "{record}: {said}");
            assert!(said.contains(message), "{record}: {said}");
        }
    }
}

#[test]
fn a_batch_that_the_module_refuses_fails_whole_after_four_attempts() {
    let guest = Guest::new();
    let mut workshop = guest.workshop(&[guest.settings()]);
    let pieces = work(&mut workshop, &chunk(&["a", "error", "b"]));
    assert_eq!(outputs(&pieces), []);
    let expected = |at| (at, "Transform.BatchFailed", 4, "not today".to_owned());
    assert_eq!(failures(&pieces), [expected(0), expected(1), expected(2)]);
}

#[test]
fn an_error_line_has_firehoses_code_and_ours_and_the_original_bytes() {
    let guest = Guest::new();
    let mut workshop = guest.workshop(&[guest.settings()]);
    let pieces = work(&mut workshop, &chunk(&["trap"]));
    let mut line = Vec::new();
    let failed = &pieces[0].failed[0];
    failed
        .failure
        .write_line(&failed.record(), failed.attempts, 7, &mut line);
    let line: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(line["errorCode"], "Lambda.FunctionError");
    assert_eq!(line["transformErrorCode"], "Transform.Trap");
    assert_eq!(line["transform"], guest.path().display().to_string());
    assert_eq!(line["rawData"], "dHJhcA==");
    assert_eq!(line["attemptsMade"], 1);
    assert!(line.get("outputIndex").is_none(), "{line}");
}

#[test]
fn modules_in_a_row_number_the_outputs_of_each_record() {
    let guest = Guest::new();
    let mut workshop = guest.workshop(&[guest.settings(), guest.settings()]);
    let pieces = work(&mut workshop, &chunk(&["2x", "a", "2y"]));
    let sources: Vec<(u64, u32)> = outputs(&pieces)
        .iter()
        .map(|(at, number, _)| (*at, *number))
        .collect();
    let twice_two = |at| (0..4).map(move |number| (at, number));
    let expected: Vec<(u64, u32)> = twice_two(0).chain([(1, 0)]).chain(twice_two(2)).collect();
    assert_eq!(sources, expected);
}

#[test]
fn an_output_that_a_later_module_fails_is_told_from_its_siblings() {
    let guest = Guest::new();
    // The first module doubles; the second, given the same bytes, fails each output by trapping.
    let doubling = wat::parse_str(
        include_str!("tests/guest.wat")
            .replace("(i32.const 50)) ;; 2", "(i32.const 116)) ;; 2")
            .replace(
                "(if (i32.eq (local.get $do) (i32.const 116)) (then unreachable)) ;; t",
                "",
            ),
    );
    let first = guest.dir.path().join("doubling.wasm");
    std::fs::write(&first, doubling.unwrap()).unwrap();
    let mut workshop = guest.workshop(&[settings(&first), guest.settings()]);
    let pieces = work(&mut workshop, &chunk(&["trap"]));
    let failed: Vec<_> = pieces[0].failed.iter().map(FailedRecord::record).collect();
    assert_eq!(failed.len(), 2);
    assert_eq!([failed[0].output, failed[1].output], [Some(0), Some(1)]);
    assert_eq!(failed[0].data, b"trap");
}

#[test]
fn a_chain_that_multiplies_without_bounds_fails_the_record() {
    let guest = Guest::new();
    let chain: Vec<TransformSettings> = (0..16).map(|_| guest.settings()).collect();
    let mut workshop = guest.workshop(&chain);
    let record = format!("2{}", "x".repeat(2000)); // 2 to the 16th times 2,000 bytes
    let pieces = work(&mut workshop, &chunk(&["a", &record, "b"]));
    assert_eq!(outputs(&pieces), [(0, 0, "a".into()), (2, 0, "b".into())]);
    assert_eq!(codes(&pieces), [(1, "Transform.OutputLimit", 1)]);
    assert_eq!(
        pieces.iter().map(|piece| piece.failed.len()).sum::<usize>(),
        1
    );
    assert_eq!(
        pieces[0].failed[0].record().output,
        None,
        "the source record fails"
    );
}

#[test]
fn records_that_are_singled_out_are_not_all_held_at_once() {
    let guest = Guest::new();
    let mut workshop = guest.workshop(&vec![guest.settings(); 11]);
    let record = format!("2{}", "x".repeat(4000)); // 2 to the 11th times: 8 MB of 32 MiB, and six records are beyond
    let pieces = work(&mut workshop, &chunk(&[record.as_str(); 6]));
    assert_eq!(outputs(&pieces).len(), 6 * 2048);
    let largest = pieces.iter().map(|piece| piece.outputs.bytes()).max();
    assert!(largest < Some(super::PIECE_BYTES + super::EXPANSION_BYTES));
}

#[test]
fn log_lines_beyond_the_limit_are_counted_only() {
    let guest = Guest::new();
    let workshop = &mut guest.workshop(&[TransformSettings {
        log_lines: 3,
        ..guest.settings()
    }]);
    let records: Vec<String> = (0..200).map(|n| format!("w{n}")).collect();
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let pieces = work(workshop, &chunk(&records));
    assert_eq!(outputs(&pieces).len(), 200);
    let written = guest.log.lock().unwrap().len() as u64;
    let suppressed = workshop.chain.modules()[0].suppressed_log_lines();
    assert_eq!(written + suppressed, 200);
    assert!(written >= 3 && suppressed > 0, "{written} written");
    assert_eq!(guest.log.lock().unwrap()[0], (Level::Warn, "w0".to_owned()));
}

#[test]
fn what_cannot_work_is_refused_when_it_is_loaded() {
    let guest = Guest::new();
    let load = |settings| guest.chain(&[settings]).err().unwrap();
    let with = |config: &str| TransformSettings {
        config: config.to_owned(),
        ..guest.settings()
    };
    assert!(load(with("{\"refuse\":1}")).contains("configure: refused as configured"));
    assert!(load(with("{\"trap\":1}")).contains("configure: wasm trap"));
    assert!(load(settings(Path::new("/nowhere.wasm"))).contains("No such file"));

    let whole = std::fs::read(guest.path()).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = guest.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        settings(&path)
    };
    assert!(load(write("text.wasm", b"hello")).contains("not a WebAssembly file"));
    load(write("empty.wasm", b""));
    for cut in [9, whole.len() / 2, whole.len() - 1] {
        load(write("cut.wasm", &whole[..cut]));
    }
    let wat = |text: &str| wat::parse_str(text).unwrap();
    let foreign = wat(
        "(component (import \"wasi:filesystem/preopens@0.2.0\" (instance \
         (export \"get-directories\" (func)))))",
    );
    let refusal = load(write("foreign.wasm", &foreign));
    assert!(
        refusal.contains("imports `wasi:filesystem/preopens@0.2.0`"),
        "{refusal}"
    );
    assert!(refusal.contains("--stub-wasi"), "{refusal}");
    let refusal = load(write("none.wasm", &wat("(component)")));
    assert!(refusal.contains("has no export `configure`"), "{refusal}");
    let refusal = load(write("core.wasm", &wat("(module)")));
    assert!(refusal.contains("does not fit a world"), "{refusal}");
    let starts_forever = include_str!("tests/guest.wat").replacen(
        "(func $recurse",
        "(func $ever (loop $l (br $l))) (start $ever) (func $recurse",
        1,
    );
    let refusal = load(write("start.wasm", &wat(&starts_forever)));
    assert!(refusal.contains("longer than timeout"), "{refusal}");
}

#[test]
fn flipped_bits_are_refused_or_run_within_their_limits() {
    let guest = Guest::new();
    let whole = std::fs::read(guest.path()).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..60 {
        let mut bytes = whole.clone();
        let at = random.usize(8..bytes.len());
        bytes[at] ^= 1 << random.u8(0..8);
        let path = guest.dir.path().join("flipped.wasm");
        std::fs::write(&path, bytes).unwrap();
        if let Ok(chain) = guest.chain(&[settings(&path)]) {
            let records = ["a", "drop", "2x", "fail", "key"];
            let pieces = work(&mut Workshop::new(chain), &chunk(&records));
            assert_eq!(pieces.last().unwrap().end, records.len());
        }
    }
}

#[test]
fn one_module_can_replace_another_and_a_bad_one_cannot() {
    use super::{Reload, Transforms};
    let guest = Guest::new();
    let metrics = Metrics::new().unwrap();
    let transforms = Transforms::new(engine(), "clicks", &[guest.settings()], &metrics);
    assert!(matches!(transforms.reload(false), Reload::First));
    let before = transforms.current();
    assert!(matches!(transforms.reload(false), Reload::Unchanged));
    assert!(matches!(transforms.reload(true), Reload::Replaced));
    assert!(!Arc::ptr_eq(&before, &transforms.current()));
    let good = transforms.current();
    std::fs::write(guest.path(), b"rubbish").unwrap();
    let Reload::Refused(error) = transforms.reload(false) else {
        panic!("rubbish was loaded");
    };
    let cause = error.cause();
    assert!(cause.contains("not a WebAssembly file"), "{cause}");
    assert!(
        Arc::ptr_eq(&good, &transforms.current()),
        "the old one goes on"
    );
    assert!(
        matches!(transforms.reload(false), Reload::Unchanged),
        "told once"
    );
}

#[test]
fn what_was_compiled_is_found_again() {
    let guest = Guest::new();
    let cache = guest.dir.path().join("cache");
    let cached = || {
        let engine = Engine::start(Some(&cache), CompilerProcess::Here).unwrap();
        let chain = Chain::load(&engine, "clicks", &[guest.settings()], &[guest.observer()]);
        let chain = chain.unwrap();
        chain.modules()[0].about().cached
    };
    assert_eq!([cached(), cached()], [false, true]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the modules do, each record has one fate, in order, however it is cut into pieces.
    #[test]
    fn every_record_has_exactly_one_fate(
        records in proptest::collection::vec("[adf20tcuk]{0,3}", 1..300),
        isolation in prop_oneof![Just(Isolation::Reuse), Just(Isolation::Batch)],
    ) {
        let guest = Guest::new();
        // Nothing here hangs; a busy machine may be slow.
        let timeout = Duration::from_mins(1);
        let mut workshop =
            guest.workshop(&[TransformSettings { timeout, isolation, ..guest.settings() }]);
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        let pieces = work(&mut workshop, &chunk(&records));
        let mut passed = Vec::new();
        let mut failed = Vec::new();
        let mut dropped = 0;
        for (at, record) in (0_u64..).zip(&records) {
            match record.bytes().next() {
                Some(b'd' | b'0') => dropped += 1,
                Some(b'f' | b't' | b'c' | b'u') => failed.push(at),
                Some(b'2') => passed.extend([(at, 0, (*record).to_owned()), (at, 1, (*record).to_owned())]),
                _ => passed.push((at, 0, (*record).to_owned())),
            }
        }
        prop_assert_eq!(outputs(&pieces), passed);
        let found: Vec<u64> = codes(&pieces).iter().map(|(at, ..)| *at).collect();
        prop_assert_eq!(found, failed);
        prop_assert_eq!(pieces.iter().map(|piece| piece.dropped).sum::<u64>(), dropped);
    }
}
