//! The port for stores: [`Publisher`], which makes objects visible, and [`Keeper`], which keeps the small things that
//! make publishing exact. What a kind of store can do beside is asked for: [`Uploads`], [`Bodies`].
//!
//! `docs/src/design/ports.md` tells how a store is written; `tests/it/destination.rs` holds each to these promises.

use std::collections::HashSet;
use std::fmt::Debug;

use bytes::Bytes;
use uuid::Uuid;

use super::listing::{ListError, Take};
use super::{Conditional, Destination, Publication, PublishError, SentPart};
use crate::config::{StoreKind, StoreSettings};
use crate::shard::Pending;

/// A kind of store: its word in the config and the reader of its keys ([`StoreKind`]), and the way in. Each is a line of
/// [`super::STORES`].
pub trait Store: StoreKind {
    /// Opens the store. What it needs is made where it is missing; a server need not be asked yet. `None`: the settings
    /// are of another kind.
    fn connect<'a>(
        &'a self,
        settings: &'a StoreSettings,
    ) -> Option<Pending<'a, Result<Destination, PublishError>>>;

    /// Opens a store that was published to before, and makes nothing: where it is not there, or was never published to,
    /// that is an error. For a store that `connect` makes nothing of it is the same.
    fn reopen<'a>(
        &'a self,
        settings: &'a StoreSettings,
    ) -> Option<Pending<'a, Result<Destination, PublishError>>> {
        self.connect(settings)
    }

    /// Gives `take` each object whose key begins with `head`, in no order, and changes nothing. It may block, since
    /// commands alone call it. `None`:
    /// the settings are of another kind, or the store does not list what it holds.
    fn list<'a>(
        &'a self,
        settings: &'a StoreSettings,
        head: &'a str,
        take: &'a mut Take<'_>,
    ) -> Option<Pending<'a, Result<(), ListError>>>;
}

/// What makes sealed objects visible.
///
/// Publishing is idempotent and replaces nothing (C4): an object that is there already, by its id and by one of its
/// [sums](Publication::sums), is success; anything else under its key is [`PublishError::Foreign`], and stays as it is.
/// The caller owns retries: each call tries once, and says what came of it as [`PublishError`]. Its futures share their
/// threads with all else, as those of all traits here do: what blocks is `tokio::task::spawn_blocking`'s.
pub trait Publisher: Debug + Send + Sync {
    /// The store in a few words, for logs.
    fn describe(&self) -> String;

    /// How many objects one call of [`Publisher::publish`] is meant for; at least 1.
    fn group_max(&self) -> usize;

    /// How many calls of [`Publisher::publish`] are useful at the same time; at least 1.
    fn in_flight_max(&self) -> usize;

    /// Makes objects visible and durable; one result for each, in order. May be repeated for objects whose outcome is
    /// unknown (C5): one that is there already is well, damaged here or not. What is sent has the sum that the
    /// publication names, or is [`PublishError::Damaged`] and not sent. Work once begun may go on when the future is
    /// dropped, and when the process that began it is dead.
    fn publish<'a>(
        &'a self,
        group: &'a [Publication],
    ) -> Pending<'a, Vec<Result<(), PublishError>>>;

    /// Whether the store holds this object already; its bytes are not needed. Something else under its key is
    /// [`PublishError::Foreign`].
    fn holds<'a>(&'a self, object: &'a Publication) -> Pending<'a, Result<bool, PublishError>>;

    /// Clears what attempts of dead processes left behind, except for the objects in `named`, which will be published
    /// again. It is called once the epoch is claimed, before anything is published.
    fn recover<'a>(&'a self, _named: &'a HashSet<Uuid>) -> Pending<'a, Result<(), PublishError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Objects in parts, where the store knows such.
    fn uploads(&self) -> Option<&dyn Uploads> {
        None
    }
}

/// Objects that go in parts, under an id that a checkpoint names before the first part is sent (C1).
pub trait Uploads: Send + Sync {
    /// Whether an object of `size` bytes goes as an upload, whose id must be durable before [`Publisher::publish`].
    fn are_for(&self, size: u64) -> bool;

    /// Starts the upload of an object; nobody sees a byte of it before it is published.
    fn begin<'a>(&'a self, object: &'a Publication) -> Pending<'a, Result<String, PublishError>>;

    /// How many parts of an upload are full when the first `size` bytes of an object are final. Part boundaries depend on
    /// the number of the part alone.
    fn full_parts(&self, size: u64) -> u32;

    /// Sends the full parts beyond number `after` of an object whose head is final while its end is not; `head` has the
    /// size and checksum of that head. Those that have arrived are not sent again.
    fn send_full_parts<'a>(
        &'a self,
        head: &'a Publication,
        after: u32,
    ) -> Pending<'a, Result<(), PublishError>>;

    /// Brings all bytes of an object to the store, as an upload that anybody may complete who knows the parts, and that is
    /// invisible until then. The upload belongs to this process alone until a checkpoint lists it. After an error it may
    /// be called again, and goes on where it was: the object carries its `upload_id`.
    fn prepare<'a>(
        &'a self,
        object: &'a mut Publication,
    ) -> Pending<'a, Result<Vec<SentPart>, PublishError>>;

    /// Gives up an upload of ours; one that is gone already is fine.
    fn abort<'a>(
        &'a self,
        key: &'a str,
        upload_id: &'a str,
    ) -> Pending<'a, Result<(), PublishError>>;

    /// Days after which a rule of the store gives up uploads that nobody has completed; `None`: there is none, or the store
    /// does not tell.
    fn given_up_after(&self) -> Pending<'_, Option<i32>>;
}

/// What keeps small things: claims, and where daemons share a stream the bodies of checkpoints.
pub trait Keeper: Debug + Send + Sync {
    /// Creates a marker if the key is free, durably. `Ok(true)`: the key holds `body`, put there now or by an attempt whose
    /// reply was lost, so `body` must tell its writer apart. `Ok(false)`: somebody else's marker is there, and stays (C6).
    fn claim<'a>(&'a self, key: &'a str, body: &'a [u8])
    -> Pending<'a, Result<bool, PublishError>>;

    /// Whether the store keeps objects from being overwritten. A store that does not know may put a small marker under
    /// `key`, which stays there; where it lacks conditional writes, it is from now on asked for an object before each is put.
    fn probe<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Conditional, PublishError>>;

    /// Bodies of shared checkpoints, where several machines can reach the store.
    fn bodies(&self) -> Option<&dyn Bodies> {
        None
    }
}

/// Bodies of shared checkpoints: small objects under keys that nobody else has, written once, read back and removed.
pub trait Bodies: Send + Sync {
    /// Writes a body. It may be repeated.
    fn put<'a>(&'a self, key: &'a str, body: Bytes) -> Pending<'a, Result<(), PublishError>>;

    /// Reads a body as it was written; `None` when there is none. Of one that has more than `most` bytes it gives the
    /// beginning, which is longer than that by what came with it.
    fn read<'a>(
        &'a self,
        key: &'a str,
        most: u64,
    ) -> Pending<'a, Result<Option<Bytes>, PublishError>>;

    /// Removes a body; one that is gone already is fine.
    fn remove<'a>(&'a self, key: &'a str) -> Pending<'a, Result<(), PublishError>>;
}
