//! The table over a stream's objects, as a catalog makes it where it is missing, and the columns that it is to have where
//! it is there.

use std::sync::Arc;

use crate::catalog::{TableDraft, TableObjects};
use crate::config::{Reading, StreamSettings, UnknownFields};
use crate::format::{Columns, Style};
use crate::partition::PrefixLayout;
use crate::schema::TableJoin;

/// A stream's objects, as a table has to take them.
#[derive(Debug)]
struct OfObjects {
    columns: Columns,
    location: String,
    serde: &'static str,
}

impl TableObjects for OfObjects {
    fn joined_to(&self, columns: &[(String, String)], keys: &[String]) -> TableJoin {
        self.columns.joined_to(columns, keys)
    }

    fn location(&self) -> &str {
        &self.location
    }

    fn serde(&self) -> &str {
        self.serde
    }
}

/// A stream's objects with these columns, which a catalog's table is to have. `None`: no table reads such objects.
pub fn table_objects(settings: &StreamSettings, columns: Columns) -> Option<Arc<dyn TableObjects>> {
    let layout = PrefixLayout::of(settings.destination.prefix.as_deref());
    Some(Arc::new(OfObjects {
        columns,
        location: settings.destination.store.location(&layout.head),
        serde: settings.format.classes().ok()?.serde,
    }))
}

/// Whether the columns of the catalog's table are brought up to those of the stream's objects. Where the config does not
/// say it, learned ones are: nobody else could do it in time. Whoever declares columns has made the table for them, and
/// may have left some out of it on purpose.
pub fn updates(settings: &StreamSettings) -> bool {
    let Some(catalog) = &settings.catalog else {
        return false;
    };
    let by_itself = || settings.format.sample().is_some() && not_updated(settings).is_none();
    catalog.updates().unwrap_or_else(by_itself)
}

/// Why a catalog's table has no columns of this stream, where it has none.
fn no_columns(settings: &StreamSettings) -> Option<String> {
    match (settings.format.classes(), settings.format.columns()) {
        (Err(why), _) => Some(why),
        (Ok(_), None) => Some("the format has no columns".to_owned()),
        (Ok(_), Some(_)) => None,
    }
}

/// Why a catalog's table gets no columns that come later.
fn not_updated(settings: &StreamSettings) -> Option<String> {
    if let Some(why) = no_columns(settings) {
        return Some(why);
    }
    let word = settings.format.word();
    match settings.format.classes().ok()?.reading {
        Reading::ByName => None,
        Reading::BySchema => Some(format!(
            "a table over {word} objects has a schema of its own beside its columns"
        )),
        Reading::ByPlace => Some(format!(
            "columns of {word} objects are found by their place"
        )),
    }
}

/// Why a column cannot be a partition, too, where readers find columns by their place.
pub fn out_of_place(column: &str) -> String {
    format!(
        "column {column} is called like a partition, and columns of such objects are found by their place, so that none \
         can be left out of the table: call the column or the partition otherwise"
    )
}

/// The table of a stream whose objects have these columns. The error says why there can be none.
pub fn table_draft(settings: &StreamSettings, columns: Columns) -> Result<TableDraft, String> {
    let reading = settings.format.classes()?.reading;
    let (location, keys) = place(settings)?;
    // A partition key stands for the column of its name: a table has a name once.
    let is_key = |name: &str| keys.iter().any(|key| key.eq_ignore_ascii_case(name));
    if reading == Reading::ByPlace
        && let Some(name) = columns.names().find(|name| is_key(name))
    {
        return Err(out_of_place(name));
    }
    let columns = columns.only(|name| !is_key(name));
    if columns.is_empty() {
        return Err("every column is a partition, so none is left for the table".to_owned());
    }
    let classes = columns.of_format(&settings.format).classes()?;
    let columns = columns.found(reading);
    let types = columns.texts(Style::Config).into_iter();
    let names = columns.names().map(str::to_owned);
    Ok(TableDraft {
        columns: names.zip(types.map(|(_, kind)| kind)).collect(),
        location,
        keys,
        classes,
    })
}

/// Why a stream that is to make its table, or to bring up its columns, cannot, and what to do.
pub fn draft_fault(settings: &StreamSettings) -> Option<(String, String)> {
    let catalog = settings.catalog.as_ref()?;
    if let Some(why) = not_made(settings).filter(|_| catalog.creates()) {
        let message = format!("`create` cannot make the table: {why}");
        let help = "create the table by hand and leave `create` out; `firehose schema show` prints a statement where \
                    there can be one";
        return Some((message, help.to_owned()));
    }
    let why = not_updated(settings).filter(|_| catalog.updates() == Some(true))?;
    let message = format!("`update` cannot give the table columns: {why}");
    let help = "see to the table's columns by hand, and leave `update` out";
    Some((message, help.to_owned()))
}

fn not_made(settings: &StreamSettings) -> Option<String> {
    if let Some(why) = no_columns(settings) {
        return Some(why);
    }
    let declared = settings.format.columns();
    let declared = declared.filter(|columns| !columns.come_later());
    match declared.and_then(|columns| Columns::of_settings(columns).ok()) {
        Some(columns) => table_draft(settings, columns).err(),
        // What they are shows later.
        None => moved_by_later_ones(settings).or_else(|| place(settings).err()),
    }
}

/// Why columns that come later would move one that the table has, where readers go by their places.
fn moved_by_later_ones(settings: &StreamSettings) -> Option<String> {
    let reading = settings.format.classes().ok()?.reading;
    let UnknownFields::Keep(column) = &settings.format.columns()?.rules.unknown else {
        return None;
    };
    (reading == Reading::ByPlace).then(|| {
        format!(
            "columns that are learned later come before {column}, and columns of {} objects are found by their place",
            settings.format.word()
        )
    })
}

/// Where the table is, and the names of its partition keys.
fn place(settings: &StreamSettings) -> Result<(String, Vec<String>), String> {
    let layout = PrefixLayout::of(settings.destination.prefix.as_deref());
    if !layout.is_hive {
        return Err(format!(
            "the folders of its prefix must be partitions that have names, such as year=!{{timestamp:yyyy}}/; they are {}",
            layout.template
        ));
    }
    let location = settings.destination.store.location(&layout.head);
    let keys = layout.partitions.into_iter();
    Ok((location, keys.map(|partition| partition.name).collect()))
}
