//! Records behind their lengths: the smallest format that keeps all promises.

use std::io;

use firehose::config::{FormatKind, FormatSettings, FormatSpec, FormatTable};
use firehose::format::{Compiler, Encode, Encoder, Format, FormatFault, Shape};
use firehose::raw_sum::RawSum;
use firehose::record::Record;

/// What the config says of it: nothing.
#[derive(Debug, PartialEq, Eq)]
struct Settings;

/// `type = "counted"`: what stands in the list of formats.
#[derive(Debug)]
pub struct CountedKind;

impl FormatKind for CountedKind {
    fn word(&self) -> &'static str {
        "counted"
    }

    fn keys(&self) -> &'static [&'static str] {
        &[]
    }

    fn carries_all(&self) -> bool {
        true
    }

    fn read(&self, _table: &mut FormatTable<'_, '_>) -> Option<FormatSettings> {
        Some(Settings.into())
    }

    fn of_row(&self, row: &str) -> Option<FormatSettings> {
        (row == Settings.row()).then(|| Settings.into())
    }
}

impl FormatSpec for Settings {
    fn word(&self) -> &'static str {
        CountedKind.word()
    }

    fn row(&self) -> String {
        r#"{"Counted":{}}"#.to_owned()
    }
}

impl Compiler for CountedKind {
    fn compile(&self, settings: &FormatSettings) -> Option<Result<Format, FormatFault>> {
        settings.get::<Settings>()?;
        Some(Ok(Format::new(Counted)))
    }
}

/// Each record is its length, in four bytes, big-endian, and its bytes.
#[derive(Debug)]
struct Counted;

impl Encode for Counted {
    fn shape(&self) -> Shape {
        Shape::Blocks
    }

    fn extension(&self) -> &'static str {
        ".counted"
    }

    fn stage(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        let length = u32::try_from(record.data.len()).unwrap_or(u32::MAX);
        out.extend(length.to_be_bytes());
        out.extend(record.data);
    }

    fn encode_block(
        &self,
        _encoder: &mut Encoder,
        _first: bool,
        raw: &[u8],
        out: &mut Vec<u8>,
    ) -> io::Result<Option<RawSum>> {
        out.extend(raw);
        Ok(None)
    }
}
