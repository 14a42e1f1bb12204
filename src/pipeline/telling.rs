//! What is told to the stream's catalog: the places in which objects of data were published.
//!
//! A place is noted when an object becomes visible there, and the checkpoint that records the publication holds it until
//! the catalog has said yes. Nothing waits for the catalog but a stop, and that for a moment; and a shard that has ended,
//! of which nobody would come to tell what is left. To tell of a place again changes nothing, so what is known of the past
//! is only a matter of how often it is told.

mod columns;
mod known;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::agreement::SchemaAgreement;
use super::event::Event;
use super::{Pipeline, StreamContext};
use crate::catalog::{self, Catalog, CatalogError, Fate, TableWish};
use crate::checkpoint::{Lane, PlaceChanges, SealedObject, UntoldPlace};
use crate::clock::{Clock, Moment};
use crate::config::StreamSettings;
use crate::failpoint;
use crate::retry;
use crate::telemetry::{CatalogMetrics, CatalogStanding, Total};
use columns::ToldColumns;
pub use known::KnownPlaces;

/// Places that wait to be told. Of more, none is remembered: `catalog sync` finds them.
const WAITING_MAX: usize = 20_000;
/// How long a stop waits for the catalog, after the last object is there.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Lines of the log that are said while they are true.
const NOT_TOLD: &str = "the catalog is not told of new partitions, and is tried again";
const LEFT_OUT: &str = "a partition is left out of the catalog";
const GIVEN_UP: &str = "partitions of a shard that has ended are told to no catalog, since the config names none: where \
                        there is to be one, run `firehose catalog sync`";

/// What is told to a catalog, and what it was told.
pub(super) struct Telling {
    /// `None`: the stream has no catalog, and all of this stays empty.
    told: Option<Told>,
    waiting: BTreeMap<String, i64>,
    known: KnownPlaces,
    changes: Changes,
    /// The last place of the group that was told last: the next one begins behind it, so that none is in the way.
    last: Option<String>,
    is_telling: bool,
    rest: Rest,
    columns: ToldColumns,
    /// When an object was published last.
    published: Moment,
}

/// A catalog, and what is told of how it stands.
struct Told {
    catalog: Arc<dyn Catalog>,
    metrics: CatalogMetrics,
    standing: CatalogStanding,
}

/// What no checkpoint has taken in yet.
#[derive(Debug, Default)]
struct Changes {
    untold: BTreeMap<String, i64>,
    told: Vec<String>,
}

/// What is not tried for a while after it has failed.
#[derive(Debug, Default)]
struct Rest {
    attempts: u32,
    until: Option<Moment>,
}

impl Rest {
    fn lasts(&self, now: Moment) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Takes note of an attempt: of one in vain, how long to rest.
    fn after(&mut self, last_error: Option<&CatalogError>, now: Moment) {
        let Some(last_error) = last_error else {
            *self = Self::default();
            return;
        };
        self.attempts = self.attempts.saturating_add(1);
        let most = if last_error.advice.is_empty() {
            retry::TRANSIENT_MAX
        } else {
            retry::PERMANENT_MAX
        };
        self.until = Some(now.after(retry::delay(self.attempts, most)));
    }
}

impl Telling {
    /// Goes on with what the state says is still to be told. `has_ended`: it is the state of a shard that has, which is
    /// done when nothing waits any more.
    pub(super) fn resumed(
        settings: &StreamSettings,
        untold: Vec<UntoldPlace>,
        has_ended: bool,
        context: &StreamContext,
    ) -> Self {
        let told = settings.catalog.as_ref().and_then(|catalog| {
            Some(Told {
                catalog: catalog::open(catalog)?,
                metrics: CatalogMetrics::new(&context.metrics, &settings.name),
                standing: CatalogStanding {
                    name: catalog.name(),
                    ..CatalogStanding::default()
                },
            })
        });
        let (mut waiting, mut changes) = (BTreeMap::new(), Changes::default());
        if told.is_some() {
            let untold = untold.into_iter();
            waiting.extend(untold.map(|place| (place.url, place.since_ms)));
        } else if has_ended && !untold.is_empty() {
            let (stream, partitions) = (&settings.name, untold.len());
            tracing::warn!(stream, partitions, "{GIVEN_UP}");
            changes
                .told
                .extend(untold.into_iter().map(|place| place.url));
        }
        // Else, without a catalog, they stay in the state, in case there is one again.
        Self {
            told,
            waiting,
            known: context.known_places.clone(),
            changes,
            last: None,
            is_telling: false,
            rest: Rest::default(),
            columns: ToldColumns::of(settings),
            published: context.clock.moment(),
        }
    }

    /// Where an object lies, as far as that is to be told.
    pub(super) fn place(&self, object: &SealedObject) -> Option<String> {
        if self.told.is_none() || object.lane != Lane::Data {
            return None;
        }
        let mut place = object.target.location();
        place.truncate(place.rfind('/').map_or(0, |slash| slash + 1));
        Some(place)
    }

    /// Notes a place where an object has become visible. It comes back where too many wait, and is not remembered.
    fn note(&mut self, place: String, clock: &Clock) -> Result<(), String> {
        self.published = clock.moment();
        if self.waiting.contains_key(&place) || self.known.has(&place) {
            return Ok(());
        }
        if self.waiting.len() >= WAITING_MAX {
            return Err(place);
        }
        let now_ms = clock.now_ms();
        self.waiting.insert(place.clone(), now_ms);
        self.changes.untold.insert(place, now_ms);
        Ok(())
    }

    /// Takes a place out that need not be told any more.
    fn done(&mut self, place: String) {
        if self.waiting.remove(&place).is_some() && self.changes.untold.remove(&place).is_none() {
            self.changes.told.push(place.clone());
        }
        self.known.add(place);
    }

    /// Whether a checkpoint would change what is to be told.
    pub(super) fn has_changes(&self) -> bool {
        !self.changes.untold.is_empty() || !self.changes.told.is_empty()
    }

    /// What the next checkpoint has to take in: with each publication that it records the place of that.
    pub(super) fn take_changes(&mut self) -> PlaceChanges {
        let Changes { untold, told } = std::mem::take(&mut self.changes);
        let untold = untold.into_iter();
        PlaceChanges {
            untold: untold
                .map(|(url, since_ms)| UntoldPlace { url, since_ms })
                .collect(),
            told,
        }
    }

    /// Whether a stop need not wait for the catalog: it knows all, does not answer, or has had its time.
    pub(super) fn may_end(&self, now: Moment, columns_are_due: bool) -> bool {
        let is_tried = |told: &Told| told.standing.error.is_none();
        !self.told.as_ref().is_some_and(is_tried)
            || (self.waiting.is_empty() && !columns_are_due)
            || self.published.until(now) >= LAST_WAIT
    }

    /// The places to be told next, if it is time: none where only columns are due.
    fn next(
        &mut self,
        now: Moment,
        columns_are_due: bool,
    ) -> Option<(Arc<dyn Catalog>, Vec<String>)> {
        let catalog = Arc::clone(&self.told.as_ref()?.catalog);
        let is_due = columns_are_due || !self.waiting.is_empty();
        if !is_due || self.is_telling || self.rest.lasts(now) {
            return None;
        }
        let behind = self.last.take();
        let behind = behind.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let group = self.waiting.range::<str, _>((behind, Bound::Unbounded));
        let group = group.take(catalog.group_max().max(1));
        let mut group: Vec<String> = group.map(|(place, _)| place.clone()).collect();
        if group.is_empty() {
            let first = self.waiting.keys().take(catalog.group_max().max(1));
            group = first.cloned().collect();
        }
        self.last = group.last().cloned();
        // Another pipeline of the stream may have told of them since.
        let (known, group): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|place| self.known.has(place));
        for place in known {
            self.done(place);
        }
        if group.is_empty() && !columns_are_due {
            return None;
        }
        self.is_telling = true;
        Some((catalog, group))
    }
}

/// Tells of a group; what comes of it is an event.
async fn tell(
    catalog: Arc<dyn Catalog>,
    places: Vec<String>,
    wish: TableWish,
    agreement: Option<Arc<SchemaAgreement>>,
    events: UnboundedSender<Event>,
) {
    failpoint::hit("catalog-before-tell");
    let group = places.clone();
    let known = agreement
        .as_ref()
        .map(|agreement| agreement.number_in_force());
    let told = tokio::spawn(async move { catalog.tell(&group, &wish).await }).await;
    let mut told = told.unwrap_or_else(|panic| {
        Err(CatalogError {
            code: "Panic".to_owned(),
            cause: panic.to_string(),
            advice: "this is a defect of firehose: please report it".to_owned(),
        })
    });
    failpoint::hit("catalog-after-tell");
    if let (Some(agreement), Ok(told)) = (agreement, &mut told)
        && let Ok(join) = &mut told.columns
        && !join.conflicts.is_empty()
    {
        // Another daemon may have given the table columns of a version that this one has not heard of. What it cannot
        // hear now it hears another time.
        let _ = agreement.catch_up().await;
        if known < Some(agreement.number_in_force()) {
            // Those of that version are told next, and what differs then is said.
            join.conflicts.clear();
        }
    }
    let _ = events.send(Event::Told(places, told));
}

impl Pipeline {
    /// Notes a place where an object of data has become visible.
    pub(super) fn note_place(&mut self, place: String) {
        let Err(place) = self.telling.note(place, &self.context.clock) else {
            return;
        };
        let why = format!(
            "{WAITING_MAX} partitions wait already: once the catalog can be told again, run `firehose catalog sync {}`",
            self.settings.name
        );
        self.leave_out(&place, &why, |metrics| &metrics.forgotten);
    }

    /// Tells the catalog what it does not know, if it is time.
    pub(super) fn tell_the_catalog(&mut self) {
        let (now, columns_are_due) = (self.context.clock.moment(), self.columns_are_due());
        let Some((catalog, places)) = self.telling.next(now, columns_are_due) else {
            return;
        };
        let (wish, agreement) = (self.wish(), self.log.agreement());
        let telling = tell(catalog, places, wish, agreement, self.events.clone());
        tokio::spawn(telling);
    }

    /// Whether the end need not wait for the catalog any longer. A stop leaves what waits to the next start, or to whoever
    /// takes the lease. Where the source has ended by itself, there is no such one: it is told to the last.
    pub(super) fn may_leave_the_catalog(&self) -> bool {
        let now = self.context.clock.moment();
        let is_left = self.stopping.has_begun() || self.telling.waiting.is_empty();
        is_left && self.telling.may_end(now, self.columns_are_due())
    }

    /// Takes over what has come of a group.
    pub(super) fn apply_told(
        &mut self,
        places: Vec<String>,
        told: Result<catalog::Told, CatalogError>,
    ) {
        self.telling.is_telling = false;
        let (mut last_error, mut taken) = (None, 0);
        let (fates, columns) = match told {
            Ok(told) => (told.fates, Some(told.columns)),
            // Where nothing but columns was to be told, it is they that are not.
            Err(error) if places.is_empty() => (Ok(Vec::new()), Some(Err(error))),
            Err(error) => (Err(error), None),
        };
        self.apply_told_columns(columns);
        let fates = fates.unwrap_or_else(|error| {
            self.catalog_failed(&error.code);
            last_error = Some(error);
            Vec::new()
        });
        for (place, fate) in places.into_iter().zip(fates) {
            match fate {
                Fate::Told | Fate::Known => {
                    taken += 1;
                    self.telling.done(place);
                }
                Fate::NoPartition(why) => {
                    self.leave_out(&place, &why, |metrics| &metrics.no_partition);
                    self.telling.done(place);
                }
                Fate::Refused { code, cause } => {
                    self.catalog_failed(&code);
                    let why = format!("{code}: {cause}");
                    self.leave_out(&place, &why, |metrics| &metrics.refused);
                    self.telling.done(place);
                }
                Fate::Later { code, cause } => {
                    self.catalog_failed(&code);
                    last_error.get_or_insert(CatalogError {
                        cause: format!("{place}: {code}: {cause}"),
                        code,
                        advice: String::new(),
                    });
                }
            }
        }
        if let Some(told) = &self.telling.told {
            told.metrics.told.add(taken);
        }
        if taken > 0 {
            let stream = &self.settings.name;
            tracing::debug!(stream, partitions = taken, "the catalog knows");
        }
        let now = self.context.clock.moment();
        self.telling.rest.after(last_error.as_ref(), now);
        self.tell_of_the_catalog(last_error);
        // What counts as told waits no more, whoever looks.
        self.report_catalog();
        let counted = |counts: &mut CatalogStanding| counts.told += taken;
        self.context.status.count_catalog(counted);
    }

    /// Says that the catalog begins to fail, and that it works again.
    fn tell_of_the_catalog(&mut self, last_error: Option<CatalogError>) {
        let Some(told) = &mut self.telling.told else {
            return;
        };
        let (stream, repeats) = (&self.settings.name, self.context.status.repeats());
        let last_error = last_error.map(|last_error| last_error.to_string());
        match &last_error {
            Some(cause) => {
                if let Some(unsaid) = repeats.due_alike(NOT_TOLD, cause) {
                    tracing::warn!(stream, cause, unsaid, "{NOT_TOLD}");
                }
            }
            None if told.standing.error.is_some() => {
                repeats.over(NOT_TOLD);
                tracing::info!(stream, "the catalog is told of new partitions again");
            }
            None => {}
        }
        told.standing.error = last_error;
    }

    /// Says how what is told to the catalog stands.
    pub(super) fn report_catalog(&mut self) {
        let Telling { told, waiting, .. } = &mut self.telling;
        let Some(Told { standing, .. }) = told else {
            return;
        };
        standing.waiting = waiting.len() as u64;
        standing.waiting_since_ms = waiting.values().min().copied();
        self.context.status.set_catalog(standing.clone());
    }

    fn catalog_failed(&mut self, code: &str) {
        if let Some(told) = &mut self.telling.told {
            told.metrics.failed(code);
        }
    }

    /// Counts a place that the catalog is not told of, and says why.
    fn leave_out(&mut self, place: &str, why: &str, count: impl Fn(&CatalogMetrics) -> &Total) {
        let Some(told) = &mut self.telling.told else {
            return;
        };
        count(&told.metrics).add(1);
        let cause = format!("{place}: {why}");
        self.context.status.count_catalog(|counts| {
            counts.left_out += 1;
            counts.why_left_out = Some(cause.clone());
        });
        let repeats = self.context.status.repeats();
        if let Some(unsaid) = repeats.due_alike(LEFT_OUT, &cause) {
            let (stream, table) = (&self.settings.name, &told.standing.name);
            tracing::warn!(stream, table, cause, unsaid, "{LEFT_OUT}");
        }
    }
}

#[cfg(test)]
mod tests;
