//! The stream's modules and outputs, asked about one record after the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::super::compiled;
use super::super::transform::fate::{Fate, code};
use super::super::transform::log::LogLines;
use super::verdict::{Delivery, Explanation, ModuleStep, ParseStep};
use crate::checkpoint::Lane;
use crate::config::StreamSettings;
use crate::failure::Failure;
use crate::format::{Columns, Encoder, Format, Inference, Row};
use crate::parse::ParsedPiece;
use crate::partition::PartitionScratch;
use crate::pipeline::Outputs;
use crate::position::{Position, Sequence};
use crate::record::{Chunk, ChunkBuilder, Record};
use crate::transform::{Chain, Workshop};

/// A record that is delivered.
struct Partitioned {
    keys: Vec<(String, String)>,
    identity: String,
    /// Its identity when it is late, where that is another.
    late: Option<String>,
    rows: Vec<Row>,
}

/// A stream's modules and outputs with a worker's scratch.
pub(super) struct Judge<'s> {
    stream: &'s StreamSettings,
    workshop: Option<Workshop>,
    log: LogLines,
    outputs: Outputs,
    scratch: PartitionScratch,
    format: Format,
    encoder: Encoder,
    now_ms: i64,
}

impl<'s> Judge<'s> {
    pub(super) fn new(stream: &'s StreamSettings, now_ms: i64) -> anyhow::Result<Self> {
        let outputs = Outputs::compile(stream, BTreeMap::new(), Vec::new())?;
        let format = Format::compile(&stream.format)?;
        let (scratch, encoder) = (outputs.partitioner.scratch(), format.encoder());
        let log = LogLines::new();
        Ok(Self {
            stream,
            workshop: workshop(stream, &log)?,
            log,
            outputs,
            scratch,
            format,
            encoder,
            now_ms,
        })
    }

    /// What the modules have logged.
    pub(super) const fn log(&self) -> &LogLines {
        &self.log
    }

    pub(super) fn judge(&mut self, data: &[u8]) -> Explanation {
        let backup = self.outputs.has_backup().then(|| {
            let identity = self.outputs.backup_identity();
            self.location(Lane::Backup, &identity)
        });
        if let Some(parser) = &self.outputs.parser {
            let piece = parser.parse(&self.chunk(data), 0..1);
            let step = ParseStep::of(parser.word(), &piece);
            return self.transformed(piece, Some(step), backup);
        }
        if self.workshop.is_some() {
            let piece = ParsedPiece {
                outputs: (*self.chunk(data)).clone(),
                failed: Vec::new(),
                dropped: 0,
                end: 1,
            };
            return self.transformed(piece, None, backup);
        }
        let record = Record::new(data, self.now_ms, Position::default());
        let texts = self.outputs.deaggregated(self.chunk(data));
        if texts.len() > 1 {
            let deliveries = texts.iter().map(|text| self.deliver(&text)).collect();
            return Explanation::Deaggregated { deliveries, backup };
        }
        Explanation::Plain {
            delivery: self.deliver(&record),
            backup,
        }
    }

    fn chunk(&self, data: &[u8]) -> Arc<Chunk> {
        let mut chunk = ChunkBuilder::with_room(1, data.len());
        chunk.push(data, self.now_ms, Sequence::default());
        Arc::new(chunk.finish())
    }

    /// The way of what was parsed through all modules, and where each of the outputs would go.
    fn transformed(
        &mut self,
        parsed: ParsedPiece,
        step: Option<ParseStep>,
        backup: Option<String>,
    ) -> Explanation {
        let ParsedPiece {
            outputs: chunk,
            mut failed,
            mut dropped,
            ..
        } = parsed;
        let (mut steps, mut at, mut pieces) = (Vec::new(), 0, Vec::new());
        while let Some(workshop) = self.workshop.as_mut().filter(|_| at < chunk.len()) {
            let piece = workshop.work_watched(&chunk, at, &mut |module, record, verdict| {
                let failure = verdict.as_ref().err();
                steps.push(ModuleStep {
                    at: module,
                    module: self.stream.transforms[module].name.clone(),
                    input: record.output,
                    fate: Fate::of(verdict),
                    failure: failure.map(|(failure, attempts)| (code(failure), *attempts)),
                });
            });
            at = piece.end;
            failed.extend(piece.failed);
            dropped += piece.dropped;
            pieces.push(piece.outputs);
        }
        if self.workshop.is_none() {
            pieces.push(chunk);
        }
        // They come as the calls are made; by module they are easier to read.
        steps.sort_by_key(|step| step.at);
        let mut deliveries = Vec::new();
        for piece in pieces {
            let texts = self.outputs.deaggregated(Arc::new(piece));
            deliveries.extend(texts.iter().map(|record| self.deliver(&record)));
        }
        deliveries.extend(failed.iter().map(|failed| {
            let (record, attempts) = (failed.record(), failed.attempts);
            self.fail(&record, failed.failure.clone(), attempts)
        }));
        Explanation::Transformed {
            parsed: step,
            steps,
            deliveries,
            dropped,
            backup,
        }
    }

    fn deliver(&mut self, record: &Record<'_>) -> Delivery {
        match self.partition(record) {
            Ok(of) => Delivery::Delivered {
                output: record.output,
                text: record.text,
                object: self.location(Lane::Data, &of.identity),
                late: of.late.map(|late| self.location(Lane::Data, &late)),
                keys: of.keys,
                rows: of.rows,
            },
            Err(failure) => self.fail(record, failure, 1),
        }
    }

    fn fail(&self, record: &Record<'_>, failure: Failure, attempts: u32) -> Delivery {
        let mut line = Vec::new();
        failure.write_line(record, attempts, self.now_ms, &mut line);
        Delivery::Failed {
            output: record.output,
            text: record.text,
            object: self.location(Lane::Error(failure.output_type), ""),
            failure,
            line,
        }
    }

    /// Keys and identity of the record's partition, and its rows, if it has one and fits the format.
    fn partition(&mut self, record: &Record<'_>) -> Result<Partitioned, Failure> {
        let (mut identity, mut late) = (Vec::new(), Vec::new());
        let (partitioner, scratch) = (&self.outputs.partitioner, &mut self.scratch);
        partitioner.partition(scratch, record, &mut identity)?;
        partitioner.write_late(scratch, &mut late);
        let keys = partitioner.keys(scratch, record)?;
        self.outputs.admit(record)?;
        let rows = if self.stream.format.table().is_some() {
            // Nobody is asked for its columns here: only what fits none is told.
            Inference::default().observe(record.data)?;
            Vec::new()
        } else if self.stream.format.sample().is_some() {
            self.rows_alone(record)?
        } else {
            self.format.rows(&mut self.encoder, record)?
        };
        // Identities are put together from text; nothing is lost here.
        let text = |identity: Vec<u8>| String::from_utf8_lossy(&identity).into_owned();
        Ok(Partitioned {
            keys,
            identity: text(identity),
            late: (!late.is_empty()).then(|| text(late)),
            rows,
        })
    }

    /// The record's rows in the columns that it would have if the stream learned them from it alone.
    fn rows_alone(&self, record: &Record<'_>) -> Result<Vec<Row>, Failure> {
        let Some(columns) = self.stream.format.columns() else {
            return Ok(Vec::new());
        };
        let mut seen = Inference::by(&columns.rules.names);
        seen.observe(record.data)?;
        // What is wrong in what is known was told when the config was read.
        let known = Columns::known_of(columns).unwrap_or_default();
        let shown = seen.columns().with_known(&known, None);
        let learned = known.with_shown(&shown).to_config();
        let learned = self.stream.format.with_learned(&learned);
        let format = learned.and_then(|settings| Format::compile(&settings).ok());
        // Where nothing in it has a type there is no column.
        format.map_or(Ok(Vec::new()), |format| {
            format.rows(&mut format.encoder(), record)
        })
    }

    /// Where the object would be if a batch opened now.
    fn location(&self, lane: Lane, identity: &str) -> String {
        let key = self
            .outputs
            .target(lane, identity, self.now_ms, Uuid::nil())
            .key;
        let nil = Uuid::nil().to_string();
        let key = match key.rsplit_once(&nil) {
            Some((head, extension)) => format!("{head}<uuid>{extension}"),
            None => key,
        };
        let destination = &self.stream.destination;
        let store = match lane {
            Lane::Data => &destination.store,
            Lane::Error(_) => destination.error_store(),
            Lane::Backup => destination.backup_store(),
        };
        store.location(&key)
    }
}

/// The stream's modules, if it has some.
fn workshop(stream: &StreamSettings, log: &LogLines) -> anyhow::Result<Option<Workshop>> {
    if stream.transforms.is_empty() {
        return Ok(None);
    }
    let engine = compiled::engine()?;
    let observers = vec![log.observer()?; stream.transforms.len()];
    let chain = Chain::load(&engine, &stream.name, &stream.transforms, &observers)?;
    Ok(Some(Workshop::new(Arc::new(chain))))
}
