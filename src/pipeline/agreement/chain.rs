//! Where the versions lie that are agreed on: objects of the bucket, one a version, under its number. Each is made once, by
//! a claim that replaces nothing, and stays. A version is made only by who has read the one before it, so none is missing
//! in between.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::destination::{Destination, PublishError};
use crate::error::StreamError;
use crate::format::Columns;
use crate::schema::{SchemaPin, SchemaVersion};

/// The layout that this version of the daemon writes. One with a greater number is refused.
const LAYOUT: u32 = 1;
/// Bytes of an object: more than any columns have, less than would fill the memory.
pub(super) const LINK_MAX: usize = 64 << 20;
/// What is to be done about a version that is gone.
const PUT_BACK: &str =
    "put the object back, and let no expiration rule of the bucket take what is below .firehose/";

/// The versions of one stream that daemons share.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Chain {
    destination: Destination,
    /// Keys up to the number.
    head: String,
    /// Whose columns they are: the name of the stream that is read.
    stream: String,
}

/// The newest versions, as far as they are found.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Newest {
    search: Search,
    /// The last of them, oldest first: at most as many as are kept.
    pub(in crate::pipeline) versions: Vec<SchemaVersion>,
}

/// Looks for the number after which there is none, in a few steps: ever wider ones, and then halves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Search {
    /// A version that is there; 0: none is known to be.
    there: u32,
    /// One that was not.
    beyond: Option<u32>,
    /// How many steps have found one.
    found: u32,
}

impl Search {
    /// The number to be asked for; `None`: the last one is found.
    fn next(self) -> Option<u32> {
        match self.beyond {
            None => {
                let wide = 1_u32.checked_shl(self.found).unwrap_or(u32::MAX);
                Some(self.there.saturating_add(wide))
            }
            Some(beyond) if beyond - self.there <= 1 => None,
            Some(beyond) => Some(self.there.midpoint(beyond)),
        }
    }

    /// What was found under that number.
    fn tell(&mut self, number: u32, is_there: bool) {
        if is_there {
            self.there = number;
            self.found += 1;
        } else {
            self.beyond = Some(number);
        }
    }
}

impl Newest {
    /// Goes on from versions that are known.
    pub(super) fn after(versions: Vec<SchemaVersion>) -> Self {
        let mut found = Self {
            versions,
            ..Self::default()
        };
        found.search.there = found.last();
        found
    }

    /// The number of the last one; 0: there is none.
    fn last(&self) -> u32 {
        self.versions.last().map_or(0, |last| last.version)
    }

    /// What tells one state of the search from another.
    pub(in crate::pipeline) fn progress(&self) -> (u32, Option<u32>, u32) {
        (self.search.there, self.search.beyond, self.last())
    }
}

/// Why the chain does not answer.
#[derive(Debug)]
pub(in crate::pipeline) enum ChainError {
    /// The store does not; it may be asked again.
    Store(PublishError),
    /// It says what nobody can go on from.
    Stop(StreamError),
}

impl From<PublishError> for ChainError {
    fn from(error: PublishError) -> Self {
        Self::Store(error)
    }
}

impl From<StreamError> for ChainError {
    fn from(error: StreamError) -> Self {
        Self::Stop(error)
    }
}

/// What an object holds (JSON: unknown members are ignored, new ones have defaults).
#[derive(Serialize, Deserialize)]
struct Link {
    /// Its layout.
    version: u32,
    /// Tells who has put it, where the reply to that was lost.
    claim: Uuid,
    /// The name of the columns, which is their checksum.
    hash: String,
    /// Whose columns they are; the first daemons did not say.
    #[serde(default)]
    stream: Option<String>,
    schema: SchemaVersion,
}

#[derive(Deserialize)]
struct Layout {
    version: u32,
}

/// Why an object is no version of the stream's columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misread {
    pub(super) cause: String,
    advice: &'static str,
}

impl Misread {
    /// Nobody but daemons writes there.
    pub(super) const fn changed(cause: String) -> Self {
        Self {
            cause,
            advice: "find out who has changed it, and put the object back",
        }
    }

    fn later(cause: String) -> Self {
        let advice = "run the version of the daemon that wrote it, or a later one";
        Self { cause, advice }
    }

    fn of_another_stream(cause: String) -> Self {
        let advice = "two streams keep their columns in one place: let the one that came later have a `lease_table` of \
                      another name, or an `error_prefix` that begins otherwise";
        Self { cause, advice }
    }
}

impl Chain {
    /// The chain of the stream with this name and lease table. `marker_head`: where the stream's markers lie.
    pub(in crate::pipeline) fn of(
        destination: Destination,
        marker_head: &str,
        table: &str,
        stream: &str,
    ) -> Self {
        Self {
            destination,
            head: format!("{marker_head}.firehose/{table}/schema/"),
            stream: stream.to_owned(),
        }
    }

    /// The name of the stream that it is of.
    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    /// What tells a version of this chain from others, and from those of other chains.
    pub(super) fn pin(&self, version: &SchemaVersion) -> SchemaPin {
        SchemaPin {
            version: version.version,
            hash: version.hash(),
            chain: Some(self.head.clone()),
        }
    }

    fn key(&self, number: u32) -> String {
        format!("{}{number:010}", self.head)
    }

    /// Puts a version, where none has its number. `true`: it is there, put now or by an attempt whose reply was lost;
    /// `false`: another one is.
    pub(super) async fn claim(&self, number: u32, body: &[u8]) -> Result<bool, ChainError> {
        Ok(self.destination.claim(&self.key(number), body).await?)
    }

    /// The version with this number; `None`: there is none yet.
    pub(super) async fn read(&self, number: u32) -> Result<Option<SchemaVersion>, ChainError> {
        let key = self.key(number);
        let bytes = self.destination.read_bounded_body(&key, LINK_MAX as u64);
        let Some(bytes) = bytes.await? else {
            return Ok(None);
        };
        let version = read(&bytes, number, &self.stream);
        let version = version.map_err(|misread| self.broken(number, &misread))?;
        Ok(Some(version))
    }

    /// Looks for the newest versions, in a few steps, however many there are. After an error it may be called again, and goes
    /// on where it was.
    pub(in crate::pipeline) async fn find(&self, found: &mut Newest) -> Result<(), ChainError> {
        while let Some(next) = found.search.next() {
            let version = self.read(next).await?;
            found.search.tell(next, version.is_some());
            if let Some(version) = version.filter(|version| version.version == found.last() + 1) {
                self.check(found.versions.last(), &version)?;
                keep(&mut found.versions, version);
            }
        }
        let beyond = found.search.there + 1;
        let first = beyond.saturating_sub(SchemaVersion::KEPT).max(1);
        if found.last() + 1 < first {
            found.versions.clear();
        }
        loop {
            let next = first.max(found.last() + 1);
            if next >= beyond {
                return Ok(());
            }
            let Some(version) = self.read(next).await? else {
                return Err(self.gone(next, None).into());
            };
            self.check(found.versions.last(), &version)?;
            keep(&mut found.versions, version);
        }
    }

    /// Whether a version that was read is still there, and the same; of no version, whether there is really none.
    pub(super) async fn still_has(&self, known: Option<&SchemaVersion>) -> Result<(), ChainError> {
        if let Some(known) = known {
            return self.has(&self.pin(known), false).await;
        }
        // The first one is older than the second.
        if self.read(2).await?.is_some() && self.read(1).await?.is_none() {
            return Err(self.gone(1, None).into());
        }
        Ok(())
    }

    /// Whether the chain, of which everything up to `newest` was found, has the version that a checkpoint was made with.
    /// `true`: somebody has given that one up.
    pub(super) async fn holds(&self, pin: &SchemaPin, newest: u32) -> Result<bool, ChainError> {
        let held = if pin.version > newest {
            Err(self.gone(newest + 1, Some(pin)).into())
        } else {
            self.has(pin, true).await
        };
        let Err(ChainError::Stop(stop)) = held else {
            return held.map(|()| false);
        };
        let key = self.given_up(pin);
        match self.destination.read_bounded_body(&key, 0).await? {
            Some(_) => Ok(true),
            None => Err(stop.into()),
        }
    }

    async fn has(&self, pin: &SchemaPin, is_pinned: bool) -> Result<(), ChainError> {
        let is_pinned = is_pinned.then_some(pin);
        match self.read(pin.version).await? {
            Some(found) if found.hash() == pin.hash => Ok(()),
            Some(found) => {
                let (key, found) = (self.key(pin.version), found.hash());
                let cause = format!("{key} has the columns {found}, and had {}", pin.hash);
                Err(self.lost(&cause, is_pinned).into())
            }
            None => Err(self.gone(pin.version, is_pinned).into()),
        }
    }

    /// A version was there, and is no more. `pin`: a checkpoint was made with that version, or with a later one.
    fn gone(&self, number: u32, pin: Option<&SchemaPin>) -> StreamError {
        self.lost(&format!("{} is gone", self.key(number)), pin)
    }

    fn lost(&self, cause: &str, pin: Option<&SchemaPin>) -> StreamError {
        let store = self.destination.describe();
        let Some(pin) = pin else {
            return StreamError::LoudStop {
                cause: format!(
                    "the columns that the daemons have agreed on are lost in {store}: {cause}"
                ),
                advice: PUT_BACK.to_owned(),
            };
        };
        let SchemaPin {
            version,
            hash,
            chain,
        } = pin;
        let elsewhere = chain.as_ref().filter(|chain| **chain != self.head);
        let given_up = self.given_up(pin);
        let forget = "or, to give up the columns that were agreed on, stop all daemons, delete what is left of the folder, \
                      and put an empty object at";
        let (was, advice) = match elsewhere {
            Some(chain) => {
                let advice = "let `error_prefix` begin as it did, and `lease_table` be what it was: or copy what is below";
                let (head, was) = (&self.head, format!(" below {chain}"));
                (was, format!("{advice} {chain} to {head}"))
            }
            None => (String::new(), PUT_BACK.to_owned()),
        };
        StreamError::LoudStop {
            cause: format!(
                "the columns that the daemons have agreed on are lost in {store}: {cause}; the shard's checkpoint was made \
                 with version {version}, {hash}{was}"
            ),
            advice: format!("{advice}; {forget} {given_up}"),
        }
    }

    /// What says that a version is given up.
    fn given_up(&self, pin: &SchemaPin) -> String {
        format!("{}.{}.given-up", self.key(pin.version), pin.hash)
    }

    /// Versions only ever widen, but for those of a table.
    pub(super) fn check(
        &self,
        before: Option<&SchemaVersion>,
        version: &SchemaVersion,
    ) -> Result<(), StreamError> {
        let broken = follows(before, version).err();
        let broken = broken.map(Misread::changed);
        broken.map_or(
            Ok(()),
            |misread| Err(self.broken(version.version, &misread)),
        )
    }

    /// What no daemon of this stream has put there.
    pub(super) fn broken(&self, number: u32, misread: &Misread) -> StreamError {
        let (key, store) = (self.key(number), self.destination.describe());
        let Misread { cause, advice } = misread;
        StreamError::LoudStop {
            cause: format!("{key} in {store} is no version of this stream's columns: {cause}"),
            advice: (*advice).to_owned(),
        }
    }
}

/// Takes one more, of which only the last ones are kept.
pub(super) fn keep(versions: &mut Vec<SchemaVersion>, version: SchemaVersion) {
    if versions.len() >= SchemaVersion::KEPT as usize {
        versions.remove(0);
    }
    versions.push(version);
}

/// What an object is to hold. `claim` is drawn for this attempt to put it.
pub(super) fn body(schema: &SchemaVersion, claim: Uuid, stream: &str) -> Vec<u8> {
    let link = Link {
        version: LAYOUT,
        claim,
        hash: schema.hash(),
        stream: Some(stream.to_owned()),
        schema: schema.clone(),
    };
    serde_json::to_vec(&link).expect("a version is plain data")
}

/// Reads what an object holds. The error says why it is no version `number` of the stream.
pub(super) fn read(bytes: &[u8], number: u32, stream: &str) -> Result<SchemaVersion, Misread> {
    if bytes.len() > LINK_MAX {
        let cause = format!("it has more than {LINK_MAX} bytes");
        return Err(Misread::changed(cause));
    }
    if let Ok(Layout { version }) = serde_json::from_slice(bytes)
        && version > LAYOUT
    {
        let cause = format!("it has layout {version}, this version knows {LAYOUT}");
        return Err(Misread::later(cause));
    }
    let link = serde_json::from_slice(bytes);
    let link: Link = link.map_err(|error| Misread::changed(error.to_string()))?;
    let Link { hash, schema, .. } = link;
    if let Some(other) = link.stream.filter(|other| other != stream) {
        let cause = format!("it is of the stream {other}, not of {stream}");
        return Err(Misread::of_another_stream(cause));
    }
    let found = schema.hash();
    if schema.version != number || found != hash {
        let cause = if schema.version == number {
            format!("its columns are {found}, not {hash}")
        } else {
            format!("it is version {}", schema.version)
        };
        return Err(Misread::changed(cause));
    }
    Ok(schema)
}

/// Whether a version may come after another: it takes whatever that one takes, or has the columns of a table, which replace
/// others. The error says why not.
pub(super) fn follows(
    before: Option<&SchemaVersion>,
    version: &SchemaVersion,
) -> Result<(), String> {
    let columns = |version: &SchemaVersion| {
        let columns = Columns::parse(&version.columns);
        columns.map_err(|fault| format!("its columns cannot be read: {fault}"))
    };
    let after = columns(version)?;
    let Some(before) = before.filter(|_| version.table.is_none()) else {
        return Ok(());
    };
    let lost = columns(before)?.lost_in(&after);
    if lost.is_empty() {
        return Ok(());
    }
    let (lost, number) = (lost.join(", "), before.version);
    Err(format!("it takes less than version {number}: {lost}"))
}

#[cfg(test)]
mod tests;
