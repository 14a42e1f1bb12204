//! The columns of a table in Glue, made to take what the stream's objects have.

use super::table::ToldTable;
use super::{CatalogError, Glue};
use crate::catalog::port::TableObjects;
use crate::schema::TableJoin;

/// Changes that a line of the log names.
const TOLD_MAX: usize = 20;

impl Glue {
    /// What becomes of the table's columns, where they may change.
    pub(super) fn join(
        &self,
        table: &ToldTable,
        objects: &dyn TableObjects,
    ) -> Result<TableJoin, CatalogError> {
        table.join(objects).map_err(|why| CatalogError {
            code: "NotOurs".to_owned(),
            cause: format!(
                "the columns of table {} stay as they are: {why}",
                self.settings.table()
            ),
            advice: "name the table of the stream's objects; where it is this one, add the columns there, and set \
                     `update = false` of the catalog"
                .to_owned(),
        })
    }

    /// Makes the table's columns take what is wanted, once; `table` is then as its partitions are told it. Somebody else's
    /// change that comes between is not undone: Glue refuses ours, and the next attempt sees theirs. The version before stays
    /// in Glue, where a person can have it back: columns change rarely.
    pub(super) async fn bring_up(
        &self,
        table: &mut ToldTable,
        objects: Option<&dyn TableObjects>,
    ) -> Result<TableJoin, CatalogError> {
        let Some(objects) = objects else {
            return Ok(TableJoin::default());
        };
        let join = self.join(table, objects)?;
        if join.changes.is_empty() {
            return Ok(join);
        }
        let name = self.settings.table();
        let wider = table.with_columns(&join.columns);
        let mut body = wider.update();
        body["DatabaseName"] = self.settings.database.as_str().into();
        let told = self.call("UpdateTable", body).await;
        let told = told.map_err(|error| self.told(error));
        let may_pass = |error: &CatalogError| error.advice.is_empty();
        // What may pass leaves the table so before long, and the objects are so already.
        if told.as_ref().err().is_none_or(may_pass) {
            *table = wider;
        }
        told?;
        let shown = join.changes.iter().take(TOLD_MAX);
        let shown: Vec<String> = shown.map(ToString::to_string).collect();
        let (changes, more) = (shown.join(", "), join.changes.len() - shown.len());
        tracing::info!(
            table = name,
            changes,
            more,
            "the table in Glue has wider columns"
        );
        Ok(join)
    }
}
