//! The stores that are held to the promises of all, each with a way around it. One that joins adds what makes its place,
//! and how it is looked into without the store.

use std::fmt::Debug;

use bytes::Bytes;
use firehose::config::{self, StoreKind as _, StoreSettings};
use firehose::destination::{Destination, FolderSettings, Publication, PublishError, Store as _};
use firehose::registry::registry;
use uuid::Uuid;

use super::memory::{Memory, MemoryKind};
use crate::support::servers::{Bucket, Weed};

/// A destination and a way around it.
#[derive(Debug)]
pub struct Place {
    pub settings: StoreSettings,
    pub to: Destination,
    around: Box<dyn Around>,
}

/// What the store holds, as somebody else finds it.
trait Around: Debug {
    /// What is under the key.
    fn get(&self, key: &str) -> Option<Bytes>;

    /// Writes under the key, which is free.
    fn plant(&self, key: &str, bytes: &[u8]);
}

impl Place {
    /// The store of these settings, opened.
    async fn of(settings: StoreSettings, around: impl Around + 'static) -> Self {
        Self {
            to: Destination::connect(&settings).await.unwrap(),
            settings,
            around: Box::new(around),
        }
    }

    /// See [`Around::get`].
    pub fn get(&self, key: &str) -> Option<Bytes> {
        self.around.get(key)
    }

    /// See [`Around::plant`].
    pub fn plant(&self, key: &str, bytes: &[u8]) {
        self.around.plant(key, bytes);
    }

    /// Tries once.
    pub async fn publish(&self, one: &Publication) -> Result<(), PublishError> {
        super::publish(&self.to, one).await
    }
}

/// A directory; objects are files in the folder `lake` of it.
pub async fn folder() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lake");
    Place::of(FolderSettings { path }.into(), dir).await
}

impl Around for tempfile::TempDir {
    fn get(&self, key: &str) -> Option<Bytes> {
        let file = self.path().join("lake").join(key);
        std::fs::read(file).ok().map(Bytes::from)
    }

    fn plant(&self, key: &str, bytes: &[u8]) {
        let path = self.path().join("lake").join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// A bucket of its own on a server.
pub async fn s3() -> Place {
    let bucket = Weed::shared().bucket();
    Place::of(bucket.settings().into(), bucket).await
}

impl Around for Bucket {
    fn get(&self, key: &str) -> Option<Bytes> {
        self.get(key).map(|object| object.bytes.into())
    }

    fn plant(&self, key: &str, bytes: &[u8]) {
        self.put(key, bytes);
    }
}

/// The smallest store, which is not in the list: its kind opens it.
pub async fn memory() -> Place {
    let name = Uuid::new_v4().to_string();
    let config = format!(
        "[stream.c]\nsource.type = \"direct-put\"\ndestination = {{ type = \"memory\", name = \"{name}\" }}"
    );
    let mut registry = registry();
    registry.stores.push(&MemoryKind);
    let read = config::parse(config, "firehose.toml".as_ref(), &|_| None, &registry).unwrap();
    let settings = read.config.streams["c"].destination.store.clone();
    assert_eq!(settings.name(), format!("memory:{name}"));
    let again = MemoryKind.named(&settings.name(), None).unwrap().unwrap();
    assert_eq!(again, settings, "the way back from the name");
    let nowhere = MemoryKind.reopen(&settings).unwrap().await;
    assert!(nowhere.is_err(), "opening it again has made it");
    Place {
        to: MemoryKind.connect(&settings).unwrap().await.unwrap(),
        settings,
        around: Box::new(Memory::open(&name)),
    }
}

impl Around for Memory {
    fn get(&self, key: &str) -> Option<Bytes> {
        self.get(key)
    }

    fn plant(&self, key: &str, bytes: &[u8]) {
        self.put(key, None, Bytes::copy_from_slice(bytes));
    }
}
