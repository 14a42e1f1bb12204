//! What the lease table holds of a shard: KCL's attributes, and ours beside them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::decisions::{self, Checkpoint, Facts, Terms};
use crate::position::{Position, SequenceNumber};
use crate::shard::{ShardId, ShardStart, ShardState};

/// An item as `DynamoDB` gives it.
pub(super) type Attributes = HashMap<String, AttributeValue>;

/// The names of attributes. Those of KCL keep its spelling; a KCL worker ignores the others.
pub(super) mod name {
    pub(in super::super) const KEY: &str = "leaseKey";
    pub(in super::super) const OWNER: &str = "leaseOwner";
    /// The heartbeat.
    pub(in super::super) const COUNTER: &str = "leaseCounter";
    pub(in super::super) const SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
    pub(in super::super) const CHECKPOINT: &str = "checkpoint";
    pub(in super::super) const SUB_SEQUENCE: &str = "checkpointSubSequenceNumber";
    /// What KCL keeps of a checkpoint in two steps, and who may still write one at its hand-over: a
    /// take or a checkpoint of ours ends both.
    pub(in super::super) const PENDING: [&str; 3] = [
        "pendingCheckpoint",
        "pendingCheckpointSubSequenceNumber",
        "pendingCheckpointState",
    ];
    pub(in super::super) const CHECKPOINT_OWNER: &str = "checkpointOwner";
    pub(in super::super) const PARENTS: &str = "parentShardId";
    pub(in super::super) const FIRST_HASH_KEY: &str = "startingHashKey";
    pub(in super::super) const LAST_HASH_KEY: &str = "endingHashKey";
    pub(in super::super) const ENTITY_TYPE: &str = "entityType";
    /// The fencing number: raised by each take of ours.
    pub(in super::super) const FENCE: &str = "firehoseFence";
    /// Drawn by each take, so that a take without an answer can be told from another's.
    pub(in super::super) const TAKE: &str = "firehoseTake";
    /// The number of the last checkpoint.
    pub(in super::super) const NUMBER: &str = "firehoseCheckpoint";
    /// Where its body lies, and the body's CRC-64/NVME.
    pub(in super::super) const BODY: &str = "firehoseBody";
    pub(in super::super) const BODY_CRC: &str = "firehoseBodyCrc64";
    /// How many objects it lists that are not known to be published, and places that a catalog is to be told of.
    pub(in super::super) const WAITING: &str = "firehoseWaiting";
    /// All that had arrived by then, in ms, has been applied.
    pub(in super::super) const UNTIL: &str = "firehoseUntil";
    /// When reading of the shard was first thought of, in ms: what `LATEST` means.
    pub(in super::super) const START: &str = "firehoseStart";
    /// The stream that the shard is of, and when it was created, in ms.
    pub(in super::super) const STREAM: &str = "firehoseStream";
    pub(in super::super) const CREATED: &str = "firehoseStreamCreated";
}

/// What the items of the table are made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TableTerms;

impl Terms for TableTerms {
    type Worker = String;
    type Draw = String;
    type Number = u64;
    type Checkpoint = LeaseCheckpoint;
}

/// The body of a checkpoint: an object at the destination.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BodyName {
    /// Its key.
    pub key: String,
    /// CRC-64/NVME of its bytes.
    pub crc64: u64,
}

/// A checkpoint of a shard, whose body and parts are at the destination, as it is to be written into
/// the lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseCheckpoint {
    /// Its body. `None` is for the last checkpoint of an ended shard only, after which nothing waits: what
    /// the item says is all that there is to know.
    pub body: Option<BodyName>,
    /// Every record up to it is in what the checkpoint lists, or was published before.
    pub position: Option<Position>,
    /// All of the shard is.
    pub ended: bool,
    /// How many objects it lists, and places of objects that a catalog is to be told of.
    pub waiting: usize,
    /// All that had arrived by then, in ms since the Unix epoch, has been applied.
    pub until_ms: Option<i64>,
}

impl LeaseCheckpoint {
    /// Whether it is further than `other`.
    pub(super) fn goes_beyond(&self, other: &Self) -> bool {
        let read = |of: &Self| (of.ended, of.position, of.until_ms);
        read(self) > read(other)
    }

    /// Nothing waits, and the shard has ended.
    pub fn is_done(&self) -> bool {
        Checkpoint::is_done(self)
    }
}

impl Checkpoint for LeaseCheckpoint {
    type Body = BodyName;

    fn body(&self) -> Option<&Self::Body> {
        self.body.as_ref()
    }

    fn has_ended(&self) -> bool {
        self.ended
    }

    fn waiting(&self) -> usize {
        self.waiting
    }
}

/// How far a shard has been read, in KCL's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KclCheckpoint {
    /// Not yet: the oldest record comes first.
    TrimHorizon,
    /// Not yet: what comes after the first start comes first.
    Latest,
    /// Not yet: what arrived at the time that the settings name comes first.
    AtTimestamp,
    /// Up to this record.
    At(Position),
    /// To its end.
    ShardEnd,
}

impl KclCheckpoint {
    /// As it is written: `checkpoint` and `checkpointSubSequenceNumber`.
    pub(super) fn written(&self) -> (String, u32) {
        match self {
            Self::TrimHorizon => ("TRIM_HORIZON".to_owned(), 0),
            Self::Latest => ("LATEST".to_owned(), 0),
            Self::AtTimestamp => ("AT_TIMESTAMP".to_owned(), 0),
            Self::At(position) => (position.sequence.to_string(), position.sub_sequence),
            Self::ShardEnd => ("SHARD_END".to_owned(), 0),
        }
    }

    fn parse(text: &str, sub_sequence: u32) -> Option<Self> {
        Some(match text {
            "TRIM_HORIZON" => Self::TrimHorizon,
            "LATEST" => Self::Latest,
            "AT_TIMESTAMP" => Self::AtTimestamp,
            "SHARD_END" => Self::ShardEnd,
            number => Self::At(Position {
                sequence: number.parse::<SequenceNumber>().ok()?,
                sub_sequence,
            }),
        })
    }
}

/// What a lease's item says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseItem {
    /// The shard.
    pub shard: ShardId,
    /// The worker that holds the lease.
    pub owner: Option<String>,
    /// How far the shard has been read.
    pub checkpoint: KclCheckpoint,
    /// The body of the last checkpoint.
    pub body: Option<BodyName>,
    /// How many objects it lists that are not known to be published, and places that a catalog is to be told of.
    pub waiting: usize,
    /// All that had arrived by then, in ms since the Unix epoch, has been applied.
    pub until_ms: Option<i64>,
    /// The shards it was split or merged from.
    pub parents: Vec<String>,
    pub(super) counter: u64,
    pub(super) fence: Option<u64>,
    pub(super) number: Option<u64>,
    pub(super) take: Option<String>,
    pub(super) start_ms: Option<i64>,
    pub(super) stream: Option<(String, i64)>,
}

impl LeaseItem {
    /// All of the shard is in objects that are prepared or published.
    pub fn has_ended(&self) -> bool {
        self.checkpoint == KclCheckpoint::ShardEnd
    }

    /// How far the shard has been read.
    pub fn state(&self) -> ShardState {
        ShardState {
            position: match self.checkpoint {
                KclCheckpoint::At(position) => Some(position),
                _ => None,
            },
            start: self.start(None),
            parents: self.parents.clone(),
            ended: self.has_ended(),
            until_ms: self.until_ms,
        }
    }

    /// Its last checkpoint.
    pub(super) fn written(&self) -> LeaseCheckpoint {
        let state = self.state();
        LeaseCheckpoint {
            body: self.body.clone(),
            position: state.position,
            ended: state.ended,
            waiting: self.waiting,
            until_ms: state.until_ms,
        }
    }

    /// Where reading begins while nothing has been read; `time_ms` is what the settings say.
    pub(super) fn start(&self, time_ms: Option<i64>) -> ShardStart {
        match self.checkpoint {
            KclCheckpoint::Latest => self.start_ms.map(ShardStart::Latest),
            KclCheckpoint::AtTimestamp => self.start_ms.or(time_ms).map(ShardStart::Time),
            _ => None,
        }
        .unwrap_or_default()
    }

    /// Nothing of the shard has been read, or is to be.
    pub(super) fn is_untouched(&self) -> bool {
        use KclCheckpoint::{AtTimestamp, Latest, TrimHorizon};
        let is_unread = matches!(self.checkpoint, TrimHorizon | Latest | AtTimestamp);
        (self.number.unwrap_or(0) == 0 && is_unread) || self.was_closed()
    }

    /// The shard was at its end when reading began at what comes after.
    pub(super) fn was_closed(&self) -> bool {
        self.has_ended() && self.start_ms.is_some() && self.fence.is_none()
    }

    /// Reads an item; `Ok(None)`: it is no lease. The error says what is wrong with it.
    pub(super) fn parse(item: &Attributes) -> Result<Option<Self>, String> {
        if text(item, name::ENTITY_TYPE).is_some_and(|kind| kind != "LEASE") {
            return Ok(None);
        }
        let Some(shard) = text(item, name::KEY) else {
            return Err("an item without a leaseKey".to_owned());
        };
        let wrong = |what: &str| format!("the lease of {shard} has no readable {what}");
        let sub_sequence = number(item, name::SUB_SEQUENCE).unwrap_or(0);
        let checkpoint = text(item, name::CHECKPOINT)
            .and_then(|checkpoint| KclCheckpoint::parse(checkpoint, sub_sequence))
            .ok_or_else(|| wrong(name::CHECKPOINT))?;
        let body = match (text(item, name::BODY), number(item, name::BODY_CRC)) {
            (Some(key), Some(crc64)) => Some(BodyName {
                key: key.to_owned(),
                crc64,
            }),
            (None, None) => None,
            _ => return Err(wrong("body")),
        };
        let stream = text(item, name::STREAM).map(str::to_owned);
        Ok(Some(Self {
            shard: shard.into(),
            owner: text(item, name::OWNER).map(str::to_owned),
            checkpoint,
            body,
            waiting: number(item, name::WAITING).unwrap_or(0),
            until_ms: number(item, name::UNTIL),
            parents: texts(item, name::PARENTS),
            counter: number(item, name::COUNTER).ok_or_else(|| wrong(name::COUNTER))?,
            fence: number(item, name::FENCE),
            number: number(item, name::NUMBER),
            take: text(item, name::TAKE).map(str::to_owned),
            start_ms: number(item, name::START),
            stream: stream.zip(number(item, name::CREATED)),
        }))
    }
}

impl decisions::Item<TableTerms> for LeaseItem {
    fn facts(&self) -> Facts<TableTerms> {
        Facts {
            owner: self.owner.clone(),
            counter: self.counter,
            fence: self.fence,
            take: self.take.clone(),
            number: self.number,
            checkpoint: self.written(),
        }
    }
}

fn text<'a>(item: &'a Attributes, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

fn number<T: std::str::FromStr>(item: &Attributes, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

fn texts(item: &Attributes, name: &str) -> Vec<String> {
    let texts = item.get(name).and_then(|value| value.as_ss().ok());
    texts.cloned().unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A lease as it is added to the table.
    pub(in super::super) fn lease(shard: &str) -> LeaseItem {
        LeaseItem {
            shard: shard.into(),
            owner: None,
            checkpoint: KclCheckpoint::TrimHorizon,
            body: None,
            waiting: 0,
            until_ms: None,
            parents: Vec::new(),
            counter: 0,
            fence: None,
            number: None,
            take: None,
            start_ms: None,
            stream: None,
        }
    }

    fn attributes(texts: &[(&str, &str)], numbers: &[(&str, i64)]) -> Attributes {
        let texts = texts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), AttributeValue::S((*value).to_owned())));
        let numbers = numbers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), AttributeValue::N(value.to_string())));
        texts.chain(numbers).collect()
    }

    pub(in super::super) fn at(sequence: u64, sub_sequence: u32) -> Position {
        Position {
            sequence: crate::position::Sequence(sequence).into(),
            sub_sequence,
        }
    }

    #[test]
    fn a_lease_of_kcl_is_read_and_what_is_no_lease_is_passed_over() {
        let mut kcl = attributes(
            &[
                ("leaseKey", "a"),
                ("checkpoint", "77"),
                ("leaseOwner", "java"),
                ("startingHashKey", "0"),
                ("endingHashKey", "9"),
            ],
            &[("leaseCounter", 4), ("checkpointSubSequenceNumber", 3)],
        );
        let parents = AttributeValue::Ss(vec!["p".into()]);
        kcl.insert("parentShardId".to_owned(), parents);
        let expected = LeaseItem {
            owner: Some("java".into()),
            checkpoint: KclCheckpoint::At(at(77, 3)),
            counter: 4,
            parents: vec!["p".into()],
            ..lease("a")
        };
        assert_eq!(LeaseItem::parse(&kcl), Ok(Some(expected)));
        let leader = attributes(&[("leaseKey", "x"), ("entityType", "LEADER")], &[]);
        assert_eq!(LeaseItem::parse(&leader), Ok(None));
        let torn = attributes(&[("leaseKey", "a"), ("checkpoint", "?")], &[]);
        let fault = LeaseItem::parse(&torn).unwrap_err();
        assert_eq!(fault, "the lease of a has no readable checkpoint");
    }
}
