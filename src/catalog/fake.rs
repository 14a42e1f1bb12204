//! A catalog in memory, for tests of what is told to catalogs.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::port::{Catalog, CatalogError, Comparison, Fate, Pending, Standing, TableWish, Told};
use crate::config::{CatalogSettings, CatalogSpec, StoreSpec};
use crate::schema::TableJoin;

/// A table, whose settings it is, too.
#[derive(Clone, Debug, Default)]
pub struct FakeCatalog(Arc<Mutex<Known>>);

/// What it knows, and how it answers.
#[derive(Debug, Default)]
pub struct Known {
    /// The places that it was told of.
    pub places: BTreeSet<String>,
    /// The columns of the table.
    pub columns: Vec<(String, String)>,
    /// How often it was asked.
    pub asked: u32,
    /// It answers one of so many questions; 0: none.
    pub answers_one_of: u32,
}

impl FakeCatalog {
    /// One that answers one of so many questions; 0: none.
    pub fn answering(one_of: u32) -> Self {
        let catalog = Self::default();
        catalog.known().answers_one_of = one_of;
        catalog
    }

    /// What it knows.
    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What settings name it.
    pub(super) fn of(settings: &CatalogSettings) -> Option<Self> {
        settings.get::<Self>().cloned()
    }

    fn answer(&self, places: &[String], wish: &TableWish) -> Result<Told, CatalogError> {
        let mut known = self.known();
        known.asked += 1;
        // No number but 0 is a multiple of 0.
        if !known.asked.is_multiple_of(known.answers_one_of) {
            return Err(CatalogError {
                code: "Away".to_owned(),
                cause: "it is away".to_owned(),
                advice: String::new(),
            });
        }
        known.places.extend(places.iter().cloned());
        let join = match &wish.objects {
            Some(objects) => objects.joined_to(&known.columns, &[]),
            None => TableJoin::default(),
        };
        if wish.objects.is_some() {
            known.columns.clone_from(&join.columns);
        }
        Ok(Told {
            fates: Ok(vec![Fate::Told; places.len()]),
            columns: Ok(join),
        })
    }
}

impl PartialEq for FakeCatalog {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl CatalogSpec for FakeCatalog {
    fn name(&self) -> String {
        "a table in memory".to_owned()
    }

    fn creates(&self) -> bool {
        false
    }

    fn updates(&self) -> Option<bool> {
        Some(true)
    }

    fn refuses(&self, _: &dyn StoreSpec) -> Option<(String, &'static str)> {
        None
    }
}

impl Catalog for FakeCatalog {
    fn group_max(&self) -> usize {
        2
    }

    fn tell<'a>(
        &'a self,
        places: &'a [String],
        wish: &'a TableWish,
    ) -> Pending<'a, Result<Told, CatalogError>> {
        Box::pin(std::future::ready(self.answer(places, wish)))
    }

    fn compare<'a>(
        &'a self,
        places: &'a [String],
        _: &'a TableWish,
    ) -> Pending<'a, Result<Comparison, CatalogError>> {
        let standings = vec![Standing::New; places.len()];
        let columns = Ok(TableJoin::default());
        Box::pin(std::future::ready(Ok(Comparison { standings, columns })))
    }
}
