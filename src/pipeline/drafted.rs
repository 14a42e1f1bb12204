//! The table over a stream's objects, as a catalog makes it where it is missing.

use crate::catalog::TableDraft;
use crate::config::StreamSettings;
use crate::format::{Columns, Style};
use crate::partition::PrefixLayout;

/// The table of a stream whose objects have these columns. The error says why there can be none.
pub fn table_draft(settings: &StreamSettings, columns: Columns) -> Result<TableDraft, String> {
    let classes = settings.format.classes()?;
    let (location, keys) = place(settings)?;
    // A partition key stands for the column of its name: a table has a name once.
    let is_key = |name: &str| keys.iter().any(|key| key.eq_ignore_ascii_case(name));
    let columns = columns.only(|name| !is_key(name));
    if columns.is_empty() {
        return Err("every column is a partition, so none is left for the table".to_owned());
    }
    let types = columns.texts(Style::Config).into_iter();
    let names = columns.names().map(str::to_owned);
    Ok(TableDraft {
        columns: names.zip(types.map(|(_, kind)| kind)).collect(),
        location,
        keys,
        classes,
    })
}

/// Why a stream that is to make its table cannot, and what to do.
pub fn draft_fault(settings: &StreamSettings) -> Option<(String, String)> {
    settings
        .catalog
        .as_ref()
        .filter(|catalog| catalog.creates())?;
    let why = match (settings.format.classes(), settings.format.columns()) {
        (Err(why), _) => why,
        (Ok(_), None) => "the format has no columns".to_owned(),
        (Ok(_), Some(_)) => place(settings).err()?,
    };
    let message = format!("`create` cannot make the table: {why}");
    let help = "create the table by hand and leave `create` out; `firehose schema show` prints a statement where there \
                can be one";
    Some((message, help.to_owned()))
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
