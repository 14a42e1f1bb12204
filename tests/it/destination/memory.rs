//! Objects in memory: the smallest store that keeps all promises.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use firehose::config::{Keys, StoreKind, StoreSettings, StoreSpec, StoreTable};
use firehose::destination::{
    Conditional, Destination, Keeper, ListError, Publication, PublishError, Publisher, Store, Take,
    Whose,
};
use firehose::shard::Pending;
use uuid::Uuid;

/// What the config says of it.
#[derive(Debug, PartialEq, Eq)]
struct Settings {
    name: String,
}

/// `type = "memory"`: what stands in the list of stores.
#[derive(Debug)]
pub struct MemoryKind;

impl StoreKind for MemoryKind {
    fn word(&self) -> &'static str {
        "memory"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["name"]
    }

    fn read(&self, table: &mut StoreTable<'_, '_>) -> Option<StoreSettings> {
        table.require("name", "name it: name = \"lake\"");
        let name = table.text("name")?;
        Some(StoreSettings::new(Settings { name }))
    }

    fn named(
        &self,
        name: &str,
        _like: Option<&StoreSettings>,
    ) -> Option<Result<StoreSettings, String>> {
        let name = name.strip_prefix("memory:")?.to_owned();
        Some(Ok(StoreSettings::new(Settings { name })))
    }
}

impl StoreSpec for Settings {
    fn name(&self) -> String {
        format!("memory:{}", self.name)
    }

    fn location(&self, key: &str) -> String {
        format!("{}/{key}", self.name)
    }

    fn keys(&self) -> Arc<dyn Keys> {
        Arc::new(AnyKey)
    }

    fn arn(&self) -> String {
        format!("arn:firehose:memory:::{}", self.name)
    }
}

#[derive(Debug)]
struct AnyKey;

impl Keys for AnyKey {
    fn short(&self) -> usize {
        1024
    }

    fn take(&self, key: &str) -> Result<(), String> {
        match key.len() {
            0 => Err("the key is empty".to_owned()),
            _ => Ok(()),
        }
    }
}

impl Store for MemoryKind {
    fn connect<'a>(
        &'a self,
        settings: &'a StoreSettings,
    ) -> Option<Pending<'a, Result<Destination, PublishError>>> {
        let memory = Memory::open(&settings.get::<Settings>()?.name);
        Some(Box::pin(async { Ok(Destination::new(memory)) }))
    }

    fn reopen<'a>(
        &'a self,
        settings: &'a StoreSettings,
    ) -> Option<Pending<'a, Result<Destination, PublishError>>> {
        let found = Memory::find(&settings.get::<Settings>()?.name);
        let missing = || PublishError::Transient("nobody has opened it here".to_owned());
        let opened = found.map(Destination::new).ok_or_else(missing);
        Some(Box::pin(async { opened }))
    }

    fn list<'a>(
        &'a self,
        _settings: &'a StoreSettings,
        _head: &'a str,
        _take: &'a mut Take<'_>,
    ) -> Option<Pending<'a, Result<(), ListError>>> {
        None
    }
}

/// The open store: what is under each key, and the id of the object that it is, if it is one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Memory {
    name: String,
    held: Arc<Mutex<HashMap<String, Held>>>,
}

/// The id of the object that it is, if it is one, and its bytes.
type Held = (Option<Uuid>, Bytes);

/// All that there are in this process.
static MEMORIES: Mutex<BTreeMap<String, Memory>> = Mutex::new(BTreeMap::new());

impl Memory {
    /// The one of that name: whoever opens it again finds what is in it.
    pub fn open(name: &str) -> Self {
        let mut memories = MEMORIES.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = memories.entry(name.to_owned()).or_insert_with(|| Self {
            name: name.to_owned(),
            held: Arc::default(),
        });
        memory.clone()
    }

    /// The one of that name, if it was ever opened.
    fn find(name: &str) -> Option<Self> {
        let memories = MEMORIES.lock().unwrap_or_else(PoisonError::into_inner);
        memories.get(name).cloned()
    }

    /// What somebody else finds under a key.
    pub fn get(&self, key: &str) -> Option<Bytes> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(key).map(|(_, bytes)| bytes.clone())
    }

    /// Puts something under a key, unless something is there: that is told.
    pub fn put(&self, key: &str, id: Option<Uuid>, bytes: Bytes) -> Option<Held> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let found = held.get(key).cloned();
        if found.is_none() {
            held.insert(key.to_owned(), (id, bytes));
        }
        found
    }

    fn publish_one(&self, object: &Publication) -> Result<(), PublishError> {
        if self.holds_one(object)? {
            return Ok(());
        }
        let size = usize::try_from(object.size).unwrap_or(usize::MAX);
        let bytes = object.piece(0, size)?;
        if crc_fast::crc64_nvme(&bytes) != object.crc64nvme {
            return Err(object.damaged());
        }
        self.put(&object.key, Some(object.object_id), bytes);
        // Somebody may have been faster.
        self.holds_one(object).map(|_| ())
    }

    fn holds_one(&self, object: &Publication) -> Result<bool, PublishError> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((id, bytes)) = held.get(&object.key) else {
            return Ok(false);
        };
        let found = (bytes.len() as u64, crc_fast::crc64_nvme(bytes));
        let whose = match id {
            Some(id) if *id == object.object_id => Whose::Ours,
            Some(_) => Whose::Anothers,
            None => Whose::Unknown,
        };
        if whose == Whose::Ours && object.sums().any(|sum| sum == found) {
            return Ok(true);
        }
        Err(PublishError::Foreign {
            whose,
            cause: format!("{} holds something else", object.key),
            advice: whose.advice(),
        })
    }
}

impl Publisher for Memory {
    fn describe(&self) -> String {
        format!("memory {}", self.name)
    }

    fn group_max(&self) -> usize {
        100
    }

    fn in_flight_max(&self) -> usize {
        1
    }

    fn publish<'a>(
        &'a self,
        group: &'a [Publication],
    ) -> Pending<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move { group.iter().map(|one| self.publish_one(one)).collect() })
    }

    fn holds<'a>(&'a self, object: &'a Publication) -> Pending<'a, Result<bool, PublishError>> {
        Box::pin(async move { self.holds_one(object) })
    }
}

impl Keeper for Memory {
    fn claim<'a>(
        &'a self,
        key: &'a str,
        body: &'a [u8],
    ) -> Pending<'a, Result<bool, PublishError>> {
        Box::pin(async move {
            let found = self.put(key, None, Bytes::copy_from_slice(body));
            Ok(found.is_none_or(|(_, found)| found == body))
        })
    }

    fn probe<'a>(&'a self, _key: &'a str) -> Pending<'a, Result<Conditional, PublishError>> {
        Box::pin(async { Ok(Conditional::Yes) })
    }
}
