//! Where sealed objects become visible: stores behind one port ([`Publisher`], [`Keeper`]), each in a folder of its own.
//!
//! Publishing is idempotent (C4, C5): an object that is already there is told from
//! somebody else's by its object id, size and CRC-64/NVME, and nothing is ever overwritten.

mod calls;
mod folder;
mod listing;
#[cfg(test)]
mod picky;
mod port;
mod publication;
mod s3;

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::config::StoreSettings;

pub use calls::caught;
pub use folder::FolderSettings;
pub use listing::{ListError, ListedObject, Take};
#[cfg(test)]
pub(crate) use picky::Picky;
pub use port::{Bodies, Keeper, Publisher, Store, Uploads};
pub use publication::{
    Body, Conditional, Publication, PublishError, RefusedRecord, SentPart, Whose,
};
pub use s3::{S3Encryption, S3Settings};

/// The stores that there are, in the order in which messages name them.
pub const STORES: &[&dyn Store] = &[&folder::FolderKind, &s3::S3Kind];

/// All that can be opened: in our own tests there is one that no config names.
fn kinds() -> impl Iterator<Item = &'static &'static dyn Store> {
    #[cfg(not(test))]
    const UNNAMED: &[&dyn Store] = &[];
    #[cfg(test)]
    const UNNAMED: &[&dyn Store] = &[&picky::PickyKind];
    STORES.iter().chain(UNNAMED)
}

/// An open store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Destination {
    publisher: Arc<dyn Publisher>,
    keeper: Arc<dyn Keeper>,
}

impl Destination {
    /// A store that publishes and keeps.
    pub fn new<T: Publisher + Keeper + 'static>(store: T) -> Self {
        let store = Arc::new(store);
        Self::of(Arc::clone(&store) as Arc<dyn Publisher>, store)
    }

    /// A store that publishes, such as a table, and what keeps small things for it, such as the bucket beneath it.
    pub fn of(publisher: Arc<dyn Publisher>, keeper: Arc<dyn Keeper>) -> Self {
        Self { publisher, keeper }
    }

    /// Opens the store, see [`Store::connect`].
    pub async fn connect(settings: &StoreSettings) -> Result<Self, PublishError> {
        let mut opening = kinds().filter_map(|store| store.connect(settings));
        opening.next().ok_or_else(unknown)?.await
    }

    /// Opens a store that objects were published to before, see [`Store::reopen`].
    pub async fn reopen(settings: &StoreSettings) -> Result<Self, PublishError> {
        let mut opening = kinds().filter_map(|store| store.reopen(settings));
        opening.next().ok_or_else(unknown)?.await
    }

    /// The store in a few words, for logs.
    pub fn describe(&self) -> String {
        self.publisher.describe()
    }

    /// See [`Publisher::group_max`].
    pub fn group_max(&self) -> usize {
        self.publisher.group_max().max(1)
    }

    /// See [`Publisher::in_flight_max`].
    pub fn in_flight_max(&self) -> usize {
        self.publisher.in_flight_max().max(1)
    }

    /// See [`Publisher::publish`]. An object that the store says nothing of may pass.
    pub async fn publish(&self, group: &[Publication]) -> Vec<Result<(), PublishError>> {
        let published = caught(async { Ok(self.publisher.publish(group).await) }).await;
        let mut results = published.unwrap_or_else(|panic| vec![Err(panic); group.len()]);
        results.resize_with(group.len(), || {
            let cause = format!("{} has not said what came of an object", self.describe());
            Err(PublishError::Transient(cause))
        });
        results
    }

    /// See [`Publisher::holds`].
    pub async fn holds(&self, object: &Publication) -> Result<bool, PublishError> {
        caught(async { self.publisher.holds(object).await }).await
    }

    /// See [`Publisher::recover`].
    pub async fn recover(&self, named: &HashSet<Uuid>) -> Result<(), PublishError> {
        caught(async { self.publisher.recover(named).await }).await
    }

    /// See [`Uploads::are_for`]; where the store knows no uploads, no object needs one.
    pub fn needs_upload(&self, size: u64) -> bool {
        let uploads = self.publisher.uploads();
        uploads.is_some_and(|uploads| uploads.are_for(size))
    }

    /// See [`Uploads::begin`].
    pub async fn begin_upload(&self, object: &Publication) -> Result<String, PublishError> {
        caught(async { self.uploads(&object.key)?.begin(object).await }).await
    }

    /// See [`Uploads::full_parts`]; 0 where the store knows no uploads.
    pub fn full_parts(&self, size: u64) -> u32 {
        let uploads = self.publisher.uploads();
        uploads.map_or(0, |uploads| uploads.full_parts(size))
    }

    /// See [`Uploads::send_full_parts`].
    pub async fn send_full_parts(
        &self,
        head: &Publication,
        after: u32,
    ) -> Result<(), PublishError> {
        let sent = async {
            let uploads = self.uploads(&head.key)?;
            uploads.send_full_parts(head, after).await
        };
        caught(sent).await
    }

    /// See [`Uploads::prepare`].
    pub async fn prepare(&self, object: &mut Publication) -> Result<Vec<SentPart>, PublishError> {
        caught(async { self.uploads(&object.key)?.prepare(object).await }).await
    }

    /// See [`Uploads::abort`]; where the store knows no uploads, there is none to give up.
    pub async fn abort_upload(&self, key: &str, upload_id: &str) -> Result<(), PublishError> {
        let aborted = async {
            match self.publisher.uploads() {
                Some(uploads) => uploads.abort(key, upload_id).await,
                None => Ok(()),
            }
        };
        caught(aborted).await
    }

    /// See [`Uploads::given_up_after`].
    pub async fn gives_up_uploads_after(&self) -> Option<i32> {
        self.publisher.uploads()?.given_up_after().await
    }

    /// See [`Keeper::claim`].
    pub async fn claim(&self, key: &str, body: &[u8]) -> Result<bool, PublishError> {
        caught(async { self.keeper.claim(key, body).await }).await
    }

    /// See [`Keeper::probe`].
    pub async fn probe(&self, key: &str) -> Result<Conditional, PublishError> {
        caught(async { self.keeper.probe(key).await }).await
    }

    /// See [`Bodies::put`].
    pub async fn put_body(&self, key: &str, body: Bytes) -> Result<(), PublishError> {
        caught(async { self.bodies(key)?.put(key, body).await }).await
    }

    /// See [`Bodies::read`].
    pub async fn read_body(&self, key: &str) -> Result<Option<Bytes>, PublishError> {
        self.read_bounded_body(key, u64::MAX).await
    }

    /// See [`Bodies::read`].
    pub async fn read_bounded_body(
        &self,
        key: &str,
        most: u64,
    ) -> Result<Option<Bytes>, PublishError> {
        caught(async { self.bodies(key)?.read(key, most).await }).await
    }

    /// See [`Bodies::remove`].
    pub async fn remove_body(&self, key: &str) -> Result<(), PublishError> {
        caught(async { self.bodies(key)?.remove(key).await }).await
    }

    /// Nobody asks for an upload who has not asked whether one is needed.
    fn uploads(&self, key: &str) -> Result<&dyn Uploads, PublishError> {
        self.publisher
            .uploads()
            .ok_or_else(|| PublishError::Permanent {
                cause: format!("{key}: {} knows no uploads", self.describe()),
                advice: "this is a defect of firehose: please report it".into(),
            })
    }

    /// The config has refused to share a stream that goes to a store without bodies.
    fn bodies(&self, key: &str) -> Result<&dyn Bodies, PublishError> {
        self.keeper.bodies().ok_or_else(|| PublishError::Permanent {
            cause: format!("{key}: several machines cannot share {}", self.describe()),
            advice: "name a destination that they can, or remove `coordination`".into(),
        })
    }
}

/// Gives `take` each object of a store whose key begins with `head`, in no order, see [`Store::list`]. For commands: it
/// may block.
pub async fn list(
    settings: &StoreSettings,
    head: &str,
    take: &mut Take<'_>,
) -> Result<(), ListError> {
    for store in STORES {
        if let Some(listing) = store.list(settings, head, &mut *take) {
            return listing.await;
        }
    }
    Err(unknown().into())
}

/// The settings of the store that has this name in a state: one of `now`, which the config names. Else all that it may
/// be, never none: a store of that name, reached as each of its kind there is. A name does not say everything, and two
/// servers can have buckets of one name. The error says why it cannot be reached.
pub fn named(name: &str, now: &[&StoreSettings]) -> Result<Vec<StoreSettings>, String> {
    if let Some(same) = now.iter().find(|store| store.has_name(name)) {
        return Ok(vec![(*same).clone()]);
    }
    let of_kind = |store: &&dyn Store| {
        let mut found = Vec::new();
        let as_now = |like: &&StoreSettings| store.named(name, Some(like));
        for settings in now.iter().filter_map(as_now).flatten() {
            if !found.contains(&settings) {
                found.push(settings);
            }
        }
        if found.is_empty() {
            return Some(store.named(name, None)?.map(|settings| vec![settings]));
        }
        Some(Ok(found))
    };
    let unknown = || Err(format!("no store that this version knows is named {name}"));
    STORES.iter().find_map(of_kind).unwrap_or_else(unknown)
}

/// Settings come from the reader of the config, which reads them by the same list.
fn unknown() -> PublishError {
    PublishError::Permanent {
        cause: "the settings are of no store that this version knows, or one that does not list"
            .into(),
        advice: "this is a defect of firehose: please report it".into(),
    }
}
