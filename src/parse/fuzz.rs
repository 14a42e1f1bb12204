//! Records as anybody may send them, to each parser.

use std::path::Path;
use std::sync::LazyLock;

use firehose_json::is_one;
use memchr::memmem;

use super::{ParsedPiece, Parser};
use crate::config::parse;
use crate::position::Sequence;
use crate::record::ChunkBuilder;
use crate::registry::registry;

/// The tables that a seed's first byte chooses from, in the order of the letters; seeds name them by their place.
const TABLES: &[&str] = &[
    "type = \"vpc-flow-log\"\nfields = [\"vpc-id\", \"tcp-flags\"]",
    "type = \"vpc-flow-log\"",
    "type = \"regex\"\npattern = '^(?<a>\\w+)=(?:\"(?<b>[^\"]*)\"|(?<c>\\S*))'\ntypes = [\"c:float?\"]",
    "type = \"grok\"\npattern = '%{SYSLOGLINE}|%{COMBINEDAPACHELOG}'",
    "type = \"logfmt\"",
    "type = \"alb\"",
    "type = \"s3-access\"",
    "type = \"cloudfront\"\nfields = [\"date\", \"cs(User-Agent)\", \"time-taken\"]",
    // From here on a record may be more than its lines.
    "type = \"csv\"\ncolumns = [\"a\", \"b:int?\", \"c:float\", \"d:bool\"]\nnull = \"-\"\nheader = true",
    "type = \"csv\"\ncolumns = [\"a\"]\ndelimiter = \";\"\nquote = \"'\"\nlines = false",
    "type = \"cloudtrail\"",
    "type = \"cloudwatch-logs\"",
];
/// So many of them take each line of a record by itself.
const BY_LINE: usize = 8;

static PARSERS: LazyLock<Vec<Parser>> = LazyLock::new(|| TABLES.iter().map(parser).collect());

fn parser(keys: &&str) -> Parser {
    let text = format!(
        "[stream.c]\nsource.type = \"direct-put\"\ndestination = {{ type = \"folder\", path = \"out\" }}\n\
         [stream.c.parse]\n{keys}"
    );
    let loaded = parse(text, Path::new("firehose.toml"), &|_| None, &registry());
    let loaded = loaded.expect("the table is right");
    let parser = loaded.config.streams["c"].parser.clone();
    Parser::of(parser.expect("the table is there"))
}

fn parsed(parser: &Parser, record: &[u8]) -> ParsedPiece {
    let mut chunk = ChunkBuilder::with_room(0, 0);
    chunk.push(record, 0, Sequence::default());
    parser.parse(&chunk.finish(), 0..1)
}

/// A record behind the letter of a parser: all that comes out is JSON, what fails is as it came, and something is told of
/// the record in any case.
pub fn parsers(bytes: &[u8]) {
    let Some((choice, record)) = bytes.split_first() else {
        return;
    };
    let choice = usize::from(choice.wrapping_sub(b'a')) % TABLES.len();
    let parser = &PARSERS[choice];
    let piece = parsed(parser, record);
    for (number, output) in (0..).zip(piece.outputs.iter()) {
        assert!(is_one(output.data), "what comes out is no JSON");
        assert_eq!(output.output, Some(number), "the number of what comes out");
    }
    for failed in &piece.failed {
        match failed.record().text {
            None => assert!(failed.data() == record && piece.failed.len() == 1),
            Some(_) => assert!(
                is_packed(record) || memmem::find(record, failed.data()).is_some(),
                "what fails is not what came"
            ),
        }
    }
    let parts = |piece: &ParsedPiece| (piece.outputs.len(), piece.failed.len(), piece.dropped);
    let (outputs, failed, dropped) = parts(&piece);
    assert!(outputs + failed > 0 || dropped > 0, "nothing is told");
    let is_blank = record.iter().all(u8::is_ascii_whitespace);
    // A byte order mark is none only where a record begins.
    let is_marked = record.starts_with(b"\xef\xbb\xbf");
    if choice < BY_LINE && !is_packed(record) && !is_blank && !is_marked {
        let twice = parsed(parser, &[record, b"\n", record].concat());
        assert_eq!(
            parts(&twice),
            (2 * outputs, 2 * failed, 2 * dropped),
            "twice the lines"
        );
    }
}

fn is_packed(record: &[u8]) -> bool {
    record.starts_with(&[0x1f, 0x8b])
}
