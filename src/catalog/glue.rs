//! The AWS Glue Data Catalog, which Athena, Redshift Spectrum and EMR read.
//!
//! A partition is told by `BatchCreatePartition`. What the table says of its storage is the partition's too, with the
//! partition's own place, as it is at that moment: so the table is asked for before each group.

mod columns;
mod drafted;
mod listed;
mod settings;
mod table;

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::places;
use super::port::{
    Catalog, CatalogError, Comparison, Fate, Pending, Standing, TableDraft, TableWish, Told,
};
use crate::aws::json::{GLUE, JsonService, ServiceError};
use crate::schema::TableJoin;
use drafted::table_input;
pub(super) use settings::GlueKind;
use settings::GlueSettings;
use table::ToldTable;

/// Partitions that `BatchCreatePartition` takes.
const BATCH_MAX: usize = 100;
/// What Glue says of a partition, or a table, that it knows.
const EXISTS: &str = "AlreadyExistsException";
/// What it says of a table, or a database, that it does not.
const MISSING: &str = "EntityNotFoundException";
/// Codes of single partitions that are of no use to be told again.
const REFUSALS: &[&str] = &[
    "InvalidInputException",
    "ValidationException",
    "EntityNotFoundException",
];

/// A partition to be made: its values, and its place.
type Wanted<'a> = (&'a Vec<String>, &'a String);

/// A table in Glue.
#[derive(Debug)]
struct Glue {
    settings: GlueSettings,
    service: OnceCell<JsonService>,
}

impl Glue {
    fn of(settings: GlueSettings) -> Self {
        Self {
            settings,
            service: OnceCell::new(),
        }
    }

    async fn call(&self, operation: &'static str, mut body: Value) -> Result<Value, CallError> {
        let connect = async {
            let key = "`endpoint` of the catalog";
            let service = JsonService::connect(&GLUE, key, &self.settings.access).await;
            service.ok_or_else(|| {
                CallError::Own(CatalogError {
                    code: "NoRegion".to_owned(),
                    cause: format!("no region is known for table {}", self.settings.table()),
                    advice: "set the catalog's `region`, or AWS_REGION".to_owned(),
                })
            })
        };
        // It is large, and made once.
        let connect = Box::pin(connect);
        let service = self.service.get_or_try_init(|| connect).await?;
        if let Some(id) = &self.settings.catalog_id {
            body["CatalogId"] = id.as_str().into();
        }
        Ok(service.call(operation, &body).await?)
    }

    /// The table as it is; made as is wished where it is missing and has places. `None`: it is missing, and nothing is to be
    /// told but its columns.
    async fn table(
        &self,
        places: &[String],
        wish: &TableWish,
    ) -> Result<Option<ToldTable>, CatalogError> {
        let found = match (self.get_table().await, &wish.draft) {
            (Err(CallError::Service(error)), _) if error.code() == MISSING && places.is_empty() => {
                return Ok(None);
            }
            (Err(CallError::Service(error)), Some(draft)) if error.code() == MISSING => {
                self.create(draft).await?;
                self.get_table().await
            }
            (found, _) => found,
        };
        found.map(Some).map_err(|error| self.told(error))
    }

    async fn get_table(&self) -> Result<ToldTable, CallError> {
        let answer = self.call("GetTable", self.named()).await?;
        self.read(&answer)
    }

    /// The body of `GetTable`.
    fn named(&self) -> Value {
        let GlueSettings {
            database, table, ..
        } = &self.settings;
        json!({ "DatabaseName": database, "Name": table })
    }

    /// The table of an answer.
    fn read(&self, answer: &Value) -> Result<ToldTable, CallError> {
        ToldTable::of(answer).map_err(|why| {
            CallError::Own(CatalogError {
                code: "NoPlace".to_owned(),
                cause: format!("GetTable of {}: {why}", self.settings.table()),
                advice: "name a table over the objects of the stream".to_owned(),
            })
        })
    }

    /// Makes the table. Somebody may have been faster.
    async fn create(&self, draft: &TableDraft) -> Result<(), CatalogError> {
        let GlueSettings {
            database, table, ..
        } = &self.settings;
        let input = table_input(table, draft);
        let body = json!({ "DatabaseName": database, "TableInput": input });
        match self.call("CreateTable", body).await {
            Ok(_) => {
                let table = self.settings.table();
                tracing::info!(table, location = draft.location, "a table is made in Glue");
                Ok(())
            }
            Err(CallError::Service(error)) if error.code() == EXISTS => Ok(()),
            Err(CallError::Service(error)) if error.code() == MISSING => Err(CatalogError {
                code: MISSING.to_owned(),
                cause: format!("table {}: {error}", self.settings.table()),
                advice: format!(
                    "create database {database} in Glue: a table is made where it is missing, a database is not"
                ),
            }),
            Err(error) => Err(self.told(error)),
        }
    }

    /// The body of `BatchCreatePartition` that tells of some partitions, by their values.
    fn creation(&self, table: &ToldTable, some: &[Wanted<'_>]) -> Value {
        let inputs = some.iter();
        let inputs = inputs.map(|(values, place)| table.partition(values, place));
        json!({
            "DatabaseName": self.settings.database,
            "TableName": self.settings.table,
            "PartitionInputList": inputs.collect::<Vec<Value>>(),
        })
    }

    /// Makes partitions; what Glue says of those that it does not take. A call that it refuses as a whole for what is in it
    /// is made again by halves: one partition keeps no others from being told.
    async fn make(
        &self,
        table: &ToldTable,
        wanted: &[Wanted<'_>],
    ) -> Result<HashMap<Vec<String>, Fate>, CatalogError> {
        let mut not_taken = HashMap::new();
        let (mut refused, mut refusal) = (0, None);
        let mut left: Vec<&[Wanted<'_>]> = wanted.chunks(BATCH_MAX).rev().collect();
        while let Some(some) = left.pop() {
            match (
                self.call("BatchCreatePartition", self.creation(table, some))
                    .await,
                some,
            ) {
                (Ok(answer), _) => not_taken.extend(faults(&answer, some)),
                (Err(CallError::Service(error)), _)
                    if error.code() != EXISTS && !REFUSALS.contains(&error.code()) =>
                {
                    return Err(self.told(CallError::Service(error)));
                }
                (Err(CallError::Service(error)), [(values, _)]) => {
                    let fate = fate_of(error.code().to_owned(), error.to_string());
                    refused += usize::from(fate != Fate::Known);
                    not_taken.insert((*values).clone(), fate);
                    refusal = Some(error);
                }
                (Err(CallError::Service(_)), some) => {
                    let (first, second) = some.split_at(some.len() / 2);
                    left.extend([second, first]);
                }
                (Err(error), _) => return Err(self.told(error)),
            }
        }
        match refusal {
            // That is not for what one of them is.
            Some(error) if refused == wanted.len() => Err(self.told(CallError::Service(error))),
            _ => Ok(not_taken),
        }
    }

    /// Tells of places; what has become of each, in their order.
    async fn tell_places(
        &self,
        table: &ToldTable,
        places: &[String],
    ) -> Result<Vec<Fate>, CatalogError> {
        let values: Vec<_> = places.iter().map(|place| table.values(place)).collect();
        // One place of each partition: Glue takes no other, nor the whole call with both.
        let mut wanted: BTreeMap<&Vec<String>, &String> = BTreeMap::new();
        for (values, place) in values.iter().zip(places) {
            if let Ok(values) = values
                && !values.is_empty()
            {
                wanted.entry(values).or_insert(place);
            }
        }
        let each: Vec<Wanted<'_>> = wanted
            .iter()
            .map(|(values, place)| (*values, *place))
            .collect();
        let mut not_taken = self.make(table, &each).await?;
        let fates = values
            .iter()
            .zip(places)
            .map(|(values, place)| match values {
                Err(why) => Fate::NoPartition(why.clone()),
                // A table without partitions has its objects where it is.
                Ok(values) if values.is_empty() => Fate::Known,
                Ok(values) => match wanted.get(values) {
                    Some(other) if *other != place => {
                        Fate::NoPartition(format!("it has the values of {other}"))
                    }
                    _ => not_taken.remove(values).unwrap_or(Fate::Told),
                },
            });
        Ok(fates.collect())
    }

    /// An error with what a person can do about it.
    fn told(&self, error: CallError) -> CatalogError {
        let error = match error {
            CallError::Own(error) => return error,
            CallError::Service(error) => error,
        };
        let code = match error.code() {
            "" if error.failure.unsent => "NotSent".to_owned(),
            "" => error
                .failure
                .status
                .map_or_else(|| "NoAnswer".to_owned(), |status| format!("Status{status}")),
            code => code.to_owned(),
        };
        let table = self.settings.table();
        let advice = match code.as_str() {
            _ if error.may_pass() => String::new(),
            MISSING => format!(
                "create {table}: `firehose schema show` with `--as athena` says how, and `create = true` of the catalog does \
                 it where the database is there"
            ),
            "AccessDeniedException" => format!(
                "allow the daemon glue:GetTable and glue:BatchCreatePartition for {table}, its database and the \
                 catalog; with `create`, glue:CreateTable too; to bring its columns up to the stream's, glue:UpdateTable; \
                 for `catalog sync`, glue:GetPartitions"
            ),
            _ => {
                let of_source = error.failure.credentials_advice("endpoint");
                of_source.map_or_else(
                    || "see to it in Glue".to_owned(),
                    |advice| advice.replace("the source", "the catalog"),
                )
            }
        };
        CatalogError {
            code,
            cause: format!("table {table}: {error}"),
            advice,
        }
    }
}

impl Catalog for Glue {
    fn group_max(&self) -> usize {
        BATCH_MAX
    }

    fn tell<'a>(
        &'a self,
        places: &'a [String],
        wish: &'a TableWish,
    ) -> Pending<'a, Result<Told, CatalogError>> {
        Box::pin(async move {
            let Some(mut table) = self.table(places, wish).await? else {
                return Ok(Told {
                    fates: Ok(Vec::new()),
                    columns: Ok(TableJoin::default()),
                });
            };
            let columns = self.bring_up(&mut table, wish.objects.as_deref()).await;
            let fates = self.tell_places(&table, places).await;
            Ok(Told { fates, columns })
        })
    }

    fn compare<'a>(
        &'a self,
        places: &'a [String],
        wish: &'a TableWish,
    ) -> Pending<'a, Result<Comparison, CatalogError>> {
        Box::pin(async move {
            let answer = self.patiently("GetTable", &self.named()).await;
            let (table, known) = match (answer, &wish.draft) {
                (Err(CallError::Service(error)), Some(draft)) if error.code() == MISSING => {
                    let table = ToldTable::drafted(&self.settings.table, draft);
                    (table, HashMap::new())
                }
                (answer, _) => {
                    let table = answer.and_then(|answer| self.read(&answer));
                    let table = table.map_err(|error| self.told(error))?;
                    let known = self.partitions().await;
                    (table, known.map_err(|error| self.told(error))?)
                }
            };
            let standing = |place: &String| match table.values(place) {
                Err(why) => Standing::NoPartition(why),
                Ok(values) if values.is_empty() => Standing::Known,
                Ok(values) => match known.get(&values) {
                    None => Standing::New,
                    Some(other) if is_same_place(other, place) => Standing::Known,
                    Some(other) => Standing::Elsewhere(other.clone()),
                },
            };
            let objects = wish.objects.as_deref();
            Ok(Comparison {
                standings: places.iter().map(standing).collect(),
                columns: objects.map_or_else(
                    || Ok(TableJoin::default()),
                    |objects| self.join(&table, objects),
                ),
            })
        })
    }
}

/// Whether two URLs are one place, with and without the last slash.
fn is_same_place(one: &str, other: &str) -> bool {
    let plain = |place: &str| place.trim_end_matches('/').to_owned();
    plain(one) == plain(other)
        || places::values(one, &[], other).is_ok_and(|values| values.is_empty())
}

/// What becomes of the partitions of a call with which Glue has found faults. Where it is not clear which of them a fault is
/// of, none that has no other is taken for told.
fn faults(answer: &Value, some: &[Wanted<'_>]) -> HashMap<Vec<String>, Fate> {
    let errors = answer["Errors"].as_array().into_iter().flatten();
    let errors = errors.map(|error| (strings(&error["PartitionValues"]), fate(error)));
    let mut faults: HashMap<_, _> = errors.collect();
    let is_one = |values: &Vec<String>| some.iter().any(|(wanted, _)| *wanted == values);
    let strange = faults.extract_if(|values, _| !is_one(values)).last();
    if let Some((_, strange)) = strange {
        for (values, _) in some {
            let fate = || Fate::Later {
                code: "UnclearAnswer".to_owned(),
                cause: format!(
                    "Glue has found a fault without saying with which partition: {strange:?}"
                ),
            };
            faults.entry((*values).clone()).or_insert_with(fate);
        }
    }
    faults
}

/// What becomes of a partition with which Glue has found a fault.
fn fate(error: &Value) -> Fate {
    let text = |name: &str| {
        let text = error["ErrorDetail"][name].as_str();
        text.unwrap_or_default().to_owned()
    };
    fate_of(text("ErrorCode"), text("ErrorMessage"))
}

fn fate_of(code: String, cause: String) -> Fate {
    match code.as_str() {
        EXISTS => Fate::Known,
        refusal if REFUSALS.contains(&refusal) => Fate::Refused { code, cause },
        _ => Fate::Later { code, cause },
    }
}

fn strings(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .map(|item| item.as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Why a call did not succeed.
enum CallError {
    /// Glue, or the way to it.
    Service(ServiceError),
    /// What we found ourselves.
    Own(CatalogError),
}

impl From<ServiceError> for CallError {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

#[cfg(test)]
mod tests;
