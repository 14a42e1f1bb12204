//! Where the versions lie that are agreed on: objects of the bucket, one a version, under its number. Each is made once, by
//! a claim that replaces nothing, and stays. A version is made only by who has read the one before it, so none is missing
//! in between.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::destination::{Destination, PublishError};
use crate::error::StreamError;
use crate::format::Columns;
use crate::schema::SchemaVersion;

/// The layout that this version of the daemon writes. One with a greater number is refused.
const LAYOUT: u32 = 1;

/// The versions of one stream that daemons share.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Chain {
    destination: Destination,
    /// Keys up to the number.
    head: String,
}

/// The newest versions, as far as they are found.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Newest {
    /// A version that is there; 0: none is known to be.
    there: u32,
    /// One that was not.
    beyond: Option<u32>,
    /// The last of them, oldest first: at most as many as are kept.
    pub(in crate::pipeline) versions: Vec<SchemaVersion>,
}

impl Newest {
    /// What tells one state of the search from another.
    pub(in crate::pipeline) fn progress(&self) -> (u32, Option<u32>, u32) {
        let last = self.versions.last().map_or(0, |last| last.version);
        (self.there, self.beyond, last)
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
    schema: SchemaVersion,
}

#[derive(Deserialize)]
struct Layout {
    version: u32,
}

impl Chain {
    /// The chain of the stream with this lease table. `marker_head`: where the stream's markers lie.
    pub(in crate::pipeline) fn of(
        destination: Destination,
        marker_head: &str,
        table: &str,
    ) -> Self {
        Self {
            destination,
            head: format!("{marker_head}.firehose/{table}/schema/"),
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
        let Some(bytes) = self.destination.read_body(&key).await? else {
            return Ok(None);
        };
        let version = read(&bytes, number);
        let version = version.map_err(|cause| self.broken(number, &cause))?;
        Ok(Some(version))
    }

    /// Looks for the newest versions, in a few steps, however many there are. After an error it may be called again, and goes
    /// on where it was.
    pub(in crate::pipeline) async fn find(&self, found: &mut Newest) -> Result<(), ChainError> {
        let beyond = loop {
            match found.beyond {
                Some(beyond) if beyond - found.there <= 1 => break beyond,
                beyond => {
                    let doubled = found.there.saturating_mul(2).max(1);
                    let next = beyond.map_or(doubled, |beyond| found.there.midpoint(beyond));
                    match self.read(next).await? {
                        Some(_) => found.there = next,
                        None => found.beyond = Some(next),
                    }
                }
            }
        };
        let first = beyond.saturating_sub(SchemaVersion::KEPT).max(1);
        loop {
            let last = found.versions.last();
            let next = last.map_or(first, |last| last.version + 1);
            // Meanwhile others may have put more.
            let Some(version) = self.read(next).await? else {
                return Ok(());
            };
            self.check(last, &version)?;
            keep(&mut found.versions, version);
        }
    }

    /// Versions only ever widen.
    pub(super) fn check(
        &self,
        before: Option<&SchemaVersion>,
        version: &SchemaVersion,
    ) -> Result<(), StreamError> {
        let broken = follows(before, version).err();
        broken.map_or(Ok(()), |cause| Err(self.broken(version.version, &cause)))
    }

    /// What no daemon has put there.
    pub(super) fn broken(&self, number: u32, cause: &str) -> StreamError {
        let (key, store) = (self.key(number), self.destination.describe());
        StreamError::LoudStop {
            cause: format!("{key} in {store} is no version of this stream's columns: {cause}"),
            advice: "run the version of the daemon that wrote it, or a later one; or find out who has changed it, and \
                     put the object back"
                .into(),
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
pub(super) fn body(schema: &SchemaVersion, claim: Uuid) -> Vec<u8> {
    let link = Link {
        version: LAYOUT,
        claim,
        hash: schema.hash(),
        schema: schema.clone(),
    };
    serde_json::to_vec(&link).expect("a version is plain data")
}

/// Reads what an object holds. The error says why it is no version `number`.
pub(super) fn read(bytes: &[u8], number: u32) -> Result<SchemaVersion, String> {
    if let Ok(Layout { version }) = serde_json::from_slice(bytes)
        && version > LAYOUT
    {
        return Err(format!(
            "it has layout {version}, this version knows {LAYOUT}"
        ));
    }
    let link: Link = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let Link { hash, schema, .. } = link;
    if schema.version != number {
        return Err(format!("it is version {}", schema.version));
    }
    if schema.hash() != hash {
        let found = schema.hash();
        return Err(format!("its columns are {found}, not {hash}"));
    }
    Ok(schema)
}

/// Whether a version may come after another: it takes whatever that one takes. The error says why not.
pub(super) fn follows(
    before: Option<&SchemaVersion>,
    version: &SchemaVersion,
) -> Result<(), String> {
    let columns = |version: &SchemaVersion| {
        let columns = Columns::parse(&version.columns);
        columns.map_err(|fault| format!("its columns cannot be read: {fault}"))
    };
    let after = columns(version)?;
    let Some(before) = before else {
        return Ok(());
    };
    match after.widened(&columns(before)?) {
        None => Ok(()),
        Some((_, lost)) => {
            let lost: Vec<String> = lost.into_iter().map(|lost| lost.path).collect();
            let (lost, number) = (lost.join(", "), before.version);
            Err(format!("it takes less than version {number}: {lost}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u32, columns: &str) -> SchemaVersion {
        SchemaVersion {
            version: number,
            at_ms: 7,
            columns: columns.into(),
            changes: Vec::new(),
            table: None,
        }
    }

    #[test]
    fn a_version_is_read_back_only_as_it_was_put() {
        let schema = version(3, "id bigint, at date");
        let bytes = body(&schema, Uuid::from_u128(5));
        assert_eq!(read(&bytes, 3), Ok(schema.clone()));
        assert_eq!(read(&bytes, 4).unwrap_err(), "it is version 3");
        let text = String::from_utf8(bytes.clone()).unwrap();
        let changed = text.replace("at date", "at int");
        let told = read(changed.as_bytes(), 3).unwrap_err();
        assert!(told.contains(&schema.hash()), "{told}");
        let later = text.replacen("\"version\":1", "\"version\":2,\"new\":[]", 1);
        let told = read(later.as_bytes(), 3).unwrap_err();
        assert!(told.contains("layout 2"), "{told}");
        let more = text.replacen('{', "{\"more\":1,", 1);
        assert_eq!(read(more.as_bytes(), 3), Ok(schema));
        assert!(read(&bytes[1..], 3).is_err());
        assert_ne!(
            bytes,
            body(&version(3, "id bigint, at date"), Uuid::from_u128(6))
        );
    }

    #[test]
    fn only_what_takes_as_much_may_follow() {
        let first = version(1, "id bigint, at date");
        assert_eq!(follows(None, &first), Ok(()));
        let wider = version(2, "id string, at timestamp, n int");
        assert_eq!(follows(Some(&first), &wider), Ok(()));
        let told = follows(Some(&wider), &version(3, "id bigint, at timestamp")).unwrap_err();
        assert_eq!(told, "it takes less than version 2: id, n");
        assert!(follows(None, &version(1, "id")).is_err());
    }
}
