//! A store that refuses single records, for our own tests: no store does yet that a config can name.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::listing::{ListError, Take};
use super::{
    Conditional, Destination, Keeper, Publication, PublishError, Publisher, RefusedRecord, Store,
};
use crate::config::{Keys, StoreKind, StoreSettings, StoreSpec, StoreTable};
use crate::shard::Pending;

/// Every object goes whole to the store beneath, and the lines below `data/` that [`Picky::refuses`] names are refused:
/// who reads that store passes over them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Picky(pub(crate) StoreSettings);

impl Picky {
    /// Whether a record is refused.
    pub(crate) const fn refuses(id: u64) -> bool {
        id % 7 == 3
    }
}

impl From<Picky> for StoreSettings {
    fn from(settings: Picky) -> Self {
        Self::new(settings)
    }
}

#[derive(Debug)]
pub(super) struct PickyKind;

impl StoreKind for PickyKind {
    fn word(&self) -> &'static str {
        "picky"
    }

    fn keys(&self) -> &'static [&'static str] {
        &[]
    }

    fn read(&self, _table: &mut StoreTable<'_, '_>) -> Option<StoreSettings> {
        None
    }

    fn named(
        &self,
        _name: &str,
        _like: Option<&StoreSettings>,
    ) -> Option<Result<StoreSettings, String>> {
        None
    }
}

impl StoreSpec for Picky {
    fn name(&self) -> String {
        format!("picky {}", self.0.name())
    }

    fn location(&self, key: &str) -> String {
        self.0.location(key)
    }

    fn keys(&self) -> Arc<dyn Keys> {
        self.0.keys()
    }

    fn folder(&self) -> Option<&Path> {
        self.0.folder()
    }

    fn arn(&self) -> String {
        self.0.arn()
    }
}

impl Store for PickyKind {
    fn connect<'a>(
        &'a self,
        settings: &'a StoreSettings,
    ) -> Option<Pending<'a, Result<Destination, PublishError>>> {
        let beneath = &settings.get::<Picky>()?.0;
        Some(Box::pin(async move {
            let beneath = Destination::connect(beneath).await?;
            Ok(Destination::new(OpenPicky(beneath)))
        }))
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

#[derive(Debug)]
struct OpenPicky(Destination);

/// The records of an object that are refused; `None` where it has none.
fn refused_of(object: &Publication) -> Result<Option<Vec<RefusedRecord>>, PublishError> {
    if !object.key.starts_with("data/") {
        return Ok(None);
    }
    let size = usize::try_from(object.size).unwrap();
    let bytes = object.piece(0, size)?;
    let mut refused = Vec::new();
    for line in bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let record: serde_json::Value = serde_json::from_slice(line).unwrap();
        if Picky::refuses(record["id"].as_u64().unwrap()) {
            refused.push(RefusedRecord {
                data: bytes.slice_ref(line),
                code: "Picky.Refused".into(),
                message: "it is not to my taste".into(),
            });
        }
    }
    Ok((!refused.is_empty()).then_some(refused))
}

impl Publisher for OpenPicky {
    fn describe(&self) -> String {
        format!("picky {}", self.0.describe())
    }

    fn group_max(&self) -> usize {
        self.0.group_max()
    }

    fn in_flight_max(&self) -> usize {
        self.0.in_flight_max()
    }

    fn publish<'a>(
        &'a self,
        group: &'a [Publication],
    ) -> Pending<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            let results = self.0.publish(group).await;
            let results = results.into_iter().zip(group);
            results
                .map(
                    |(result, object)| match result.and_then(|()| refused_of(object))? {
                        Some(refused) => Err(PublishError::Partly(refused)),
                        None => Ok(()),
                    },
                )
                .collect()
        })
    }

    fn holds<'a>(&'a self, object: &'a Publication) -> Pending<'a, Result<bool, PublishError>> {
        Box::pin(self.0.holds(object))
    }

    fn recover<'a>(&'a self, named: &'a HashSet<Uuid>) -> Pending<'a, Result<(), PublishError>> {
        Box::pin(self.0.recover(named))
    }
}

impl Keeper for OpenPicky {
    fn claim<'a>(
        &'a self,
        key: &'a str,
        body: &'a [u8],
    ) -> Pending<'a, Result<bool, PublishError>> {
        Box::pin(self.0.claim(key, body))
    }

    fn probe<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Conditional, PublishError>> {
        Box::pin(self.0.probe(key))
    }
}
