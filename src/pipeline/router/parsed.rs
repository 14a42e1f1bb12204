//! Streams with a parser: what comes out of a source record goes through all modules before any of it is applied, since
//! the frontier stands behind source records alone.

use std::ops::Range;
use std::sync::Arc;

use super::super::route::Stretch;
use super::Idle;
use crate::failure::FailedRecord;
use crate::parse::{ParsedPiece, Parser};
use crate::record::{Chunk, ChunkBuilder};
use crate::transform::{Transforms, Workshop};

/// Bytes that modules may make of what is parsed together: more than this comes of fewer source records at a time, and
/// one of which alone more comes fails.
const TRANSFORMED_MAX: usize = 64 << 20;

/// What modules have made of all that was parsed.
struct Transformed {
    outputs: Chunk,
    failed: Vec<FailedRecord>,
    dropped: u64,
}

/// What is to be routed of the records of a chunk in `range`, which is not empty, or of the first ones.
pub(super) fn stretch(
    parser: &Parser,
    transforms: Option<&Transforms>,
    workshops: &Idle<Workshop>,
    chunk: Arc<Chunk>,
    range: Range<usize>,
) -> Stretch {
    within(TRANSFORMED_MAX, parser, transforms, workshops, chunk, range)
}

/// The same with another bound.
fn within(
    most: usize,
    parser: &Parser,
    transforms: Option<&Transforms>,
    workshops: &Idle<Workshop>,
    chunk: Arc<Chunk>,
    range: Range<usize>,
) -> Stretch {
    let start = range.start;
    let mut piece = parser.parse(&chunk, range);
    if let Some(transforms) = transforms {
        loop {
            if let Some(made) = transform(most, transforms, workshops, &piece.outputs) {
                piece.outputs = made.outputs;
                piece.failed.extend(made.failed);
                piece.dropped += made.dropped;
                break;
            }
            let records = piece.end - start;
            piece = if records > 1 {
                parser.parse(&chunk, start..start + records / 2)
            } else {
                let message = format!(
                    "the transforms make more than {} MiB of what the record holds",
                    most >> 20
                );
                Parser::too_much(&chunk, start, message)
            };
        }
    }
    let ParsedPiece {
        outputs,
        failed,
        dropped,
        end,
    } = piece;
    Stretch {
        source: chunk,
        range: start..end,
        data: Arc::new(outputs),
        failed,
        dropped,
    }
}

/// All records of a chunk, taken through the modules. `None`: too much comes of it.
fn transform(
    most: usize,
    transforms: &Transforms,
    workshops: &Idle<Workshop>,
    parsed: &Chunk,
) -> Option<Transformed> {
    let mut made = Transformed {
        outputs: Chunk::default(),
        failed: Vec::new(),
        dropped: 0,
    };
    let (mut output_bytes, mut failed_bytes, mut is_too_much) = (0, 0, false);
    let (mut pieces, mut at) = (Vec::new(), 0);
    let mut workshop: Option<Workshop> = None;
    while at < parsed.len() {
        let chain = transforms.current();
        let own = match workshop.take() {
            Some(own) if own.is_of(&chain) => own,
            Some(own) => own.replaced_by(chain),
            None => {
                let idle = workshops.take().filter(|idle| idle.is_of(&chain));
                idle.unwrap_or_else(|| Workshop::new(chain))
            }
        };
        let own = workshop.insert(own);
        let piece = own.work(parsed, at..parsed.len());
        // Without a record if the modules were replaced: there are new ones.
        at = piece.end;
        output_bytes += piece.outputs.bytes();
        failed_bytes += piece.failed.iter().map(weight).sum::<usize>();
        made.failed.extend(piece.failed);
        made.dropped += piece.dropped;
        pieces.push(piece.outputs);
        is_too_much = output_bytes + failed_bytes > most;
        if is_too_much {
            break;
        }
    }
    if let Some(workshop) = workshop {
        workshops.put(workshop);
    }
    if is_too_much {
        return None;
    }
    made.outputs = joined(pieces, output_bytes);
    Some(made)
}

/// Bytes that a record takes which has failed.
fn weight(failed: &FailedRecord) -> usize {
    size_of::<FailedRecord>() + failed.data().len() + failed.failure.message.len()
}

/// Pieces of one chunk as one.
fn joined(mut pieces: Vec<Chunk>, bytes: usize) -> Chunk {
    if pieces.len() == 1
        && let Some(only) = pieces.pop()
    {
        return only;
    }
    let records = pieces.iter().map(Chunk::len).sum();
    let mut whole = ChunkBuilder::with_room(records, bytes);
    for record in pieces.iter().flat_map(Chunk::iter) {
        let number = record.output.unwrap_or_default();
        whole.push_output(&record, number, record.data, Vec::new());
    }
    whole.finish()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::TransformSettings;
    use crate::position::Sequence;
    use crate::telemetry::Metrics;
    use crate::transform::{CompilerProcess, Engine};

    /// Texts of log events come out as they are: a module of the transforms' tests makes two of one that begins with a 2.
    fn parser() -> Parser {
        let text = "[stream.c]\nsource.type = \"direct-put\"\n\
                    parse = { type = \"cloudwatch-logs\", extract = \"message\" }\n\
                    destination = { type = \"folder\", path = \"out\" }\n";
        let registry = crate::registry::registry();
        let loaded =
            crate::config::parse(text, Path::new("firehose.toml"), &|_| None, &registry).unwrap();
        Parser::of(loaded.config.streams["c"].parser.clone().unwrap())
    }

    fn record(texts: &[&str]) -> Vec<u8> {
        let events = texts
            .iter()
            .map(|text| format!("{{\"message\":\"{text}\"}}"));
        let events = events.collect::<Vec<_>>().join(",");
        format!("{{\"messageType\":\"DATA_MESSAGE\",\"logEvents\":[{events}]}}").into_bytes()
    }

    #[test]
    fn all_that_comes_of_a_record_goes_through_the_modules_before_it_is_applied() {
        let dir = tempfile::tempdir().unwrap();
        let module = dir.path().join("guest.wasm");
        let wasm = wat::parse_str(include_str!("../../transform/tests/guest.wat")).unwrap();
        std::fs::write(&module, wasm).unwrap();
        let engine = Engine::start(None, CompilerProcess::Here).unwrap();
        let settings = [TransformSettings::of(module)];
        let metrics = Metrics::new().unwrap();
        let transforms = Transforms::new(&engine, "c", &settings, &metrics);
        transforms.reload(false);
        let records = [record(&["a"]), record(&["2x"; 600]), record(&["b"])];
        let mut builder = ChunkBuilder::with_room(0, 0);
        for (number, record) in (0..).zip(&records) {
            builder.push(record, 5, Sequence(number));
        }
        let (chunk, workshops, parser) = (Arc::new(builder.finish()), Idle::default(), parser());
        let stretch = |most: usize, start: usize| {
            let chunk = Arc::clone(&chunk);
            let range = start..chunk.len();
            within(most, &parser, Some(&transforms), &workshops, chunk, range)
        };
        let whole = stretch(TRANSFORMED_MAX, 0);
        assert_eq!((whole.range, whole.failed.len()), (0..3, 0));
        let numbers = whole.data.iter().map(|record| record.output.unwrap());
        let expected = [0].into_iter().chain(0..1200).chain([0]);
        assert!(numbers.eq(expected), "each record's own from 0");

        // Where that is too much, fewer records go together, and one of which alone it is too much fails.
        let (mut at, mut told) = (0, Vec::new());
        while at < 3 {
            let piece = stretch(1000, at);
            at = piece.range.end;
            let failed = piece.failed.first().map(|failed| {
                assert_eq!(failed.data(), records[1]);
                failed.failure.code.to_string()
            });
            told.push((piece.range, piece.data.len(), failed));
        }
        let limit = Some("Parse.OutputLimit".to_owned());
        assert_eq!(told, [(0..1, 1, None), (1..2, 0, limit), (2..3, 1, None)]);

        // What the modules fail counts as well.
        let failing = record(&[&format!("f{}", "x".repeat(1000))]);
        let mut builder = ChunkBuilder::with_room(0, 0);
        builder.push(&failing, 5, Sequence(0));
        let chunk = Arc::new(builder.finish());
        for (most, is_too_much) in [(1000, true), (4000, false)] {
            let chunk = Arc::clone(&chunk);
            let piece = within(most, &parser, Some(&transforms), &workshops, chunk, 0..1);
            let [failed] = &piece.failed[..] else {
                panic!("{:?}", piece.failed);
            };
            let code = &failed.failure.code;
            assert_eq!(code == "Parse.OutputLimit", is_too_much, "{code}");
        }
    }
}
