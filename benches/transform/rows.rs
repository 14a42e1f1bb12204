//! A parser of the daemon beside a module that does the same: lines of VPC flow logs, `parse.type = "vpc-flow-log"` and
//! `csv-to-json.wasm`, which give the same JSON.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use firehose::parse::Parser;
use firehose::record::Chunk;
use firehose::transform::{Engine, Workshop};
use firehose::{config, registry};

use crate::{CHUNKS, RECORDS};

/// The stream whose parser is measured.
const CONFIG: &str = r#"
[stream.rows]
source.type = "direct-put"
destination = { type = "folder", path = "rows", prefix = "rows/" }
parse.type = "vpc-flow-log"
"#;

/// What the module is told, for the same columns.
const COLUMNS: &str = r#"{"columns":["version:int","account_id","interface_id","srcaddr","dstaddr","srcport:int","dstport:int",
"protocol:int","packets:int","bytes:int","start:int","end:int","action","log_status"],"delimiter":" ","null":"-"}"#;

/// Reports nanoseconds a record of both, medians of as many rounds.
pub(crate) fn compare(
    out: &mut impl std::io::Write,
    engine: &Engine,
    root: &Path,
    rounds: usize,
) -> anyhow::Result<()> {
    let chunk = crate::chunk(&lines());
    let chain = crate::load(engine, root, "csv-to-json", COLUMNS)?;
    let parser = parser()?;
    let mut workshop = Workshop::new(chain.clone());
    ensure!(
        texts(&parser.parse(&chunk, 0..chunk.len()).outputs)
            == texts(&workshop.work(&chunk, 0..chunk.len()).outputs),
        "parser and module differ"
    );
    let round = |_| (crate::host(&chain, &chunk, 1), parsed(&parser, &chunk));
    let rounds: Vec<(f64, f64)> = (0..rounds).map(round).collect();
    for (what, figure) in [
        (
            "flow log by a module, ns a record",
            crate::median(&rounds, |it| it.0),
        ),
        ("by the daemon's parser", crate::median(&rounds, |it| it.1)),
        ("module / parser", crate::median(&rounds, |it| it.0 / it.1)),
    ] {
        writeln!(out, "{what:<34}{figure:>8.2}")?;
    }
    Ok(())
}

fn parser() -> anyhow::Result<Parser> {
    let registry = registry::registry();
    let loaded = config::parse(CONFIG, Path::new("rows.toml"), &|_| None, &registry);
    let loaded = loaded.map_err(|found| anyhow::anyhow!("{found:?}"))?;
    let settings = loaded
        .config
        .streams
        .into_values()
        .next()
        .and_then(|it| it.parser);
    Ok(Parser::of(settings.context("the stream has no parser")?))
}

/// On one core.
fn parsed(parser: &Parser, chunk: &Chunk) -> f64 {
    let begun = Instant::now();
    for _ in 0..CHUNKS {
        let mut start = 0;
        while start < chunk.len() {
            let piece = parser.parse(chunk, start..chunk.len());
            assert!(piece.failed.is_empty(), "a record failed");
            start = std::hint::black_box(piece).end;
        }
    }
    crate::nanoseconds(begun.elapsed())
}

fn texts(outputs: &Chunk) -> Vec<&[u8]> {
    outputs.iter().map(|record| record.data).collect()
}

/// Lines of about a hundred bytes, with a fixed seed.
fn lines() -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(42);
    let line = |n: usize| {
        let mut address = || format!("10.{}.{}.{}", random.u8(..), random.u8(..), random.u8(..));
        let (source, target) = (address(), address());
        let (port, bytes) = (random.u16(1024..), random.u32(40..2_000_000));
        format!(
            "2 123456789010 eni-{n:017x} {source} {target} {port} 443 6 {} {bytes} 1764496800 1764496860 ACCEPT OK",
            bytes / 1400 + 1,
        )
    };
    (0..RECORDS).map(line).collect()
}
