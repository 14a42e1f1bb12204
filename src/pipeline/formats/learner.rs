//! How columns come of records: what the config says of columns that are learned, and the version that comes after
//! another. It asks nobody, and who knows the same comes to the same.

use std::collections::BTreeSet;

use crate::config::{FormatSettings, UnknownFields};
use crate::format::{Columns, Format, FormatFault, Widening};
use crate::schema::{SchemaChange, SchemaVersion};

/// So often it is tried which of the columns fit; what is not tried by then is left out.
const TRIES_MAX: usize = 64;

/// What the config says of the columns of data.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Learner {
    /// The format.
    pub(super) settings: FormatSettings,
    /// Columns that are known whatever records show.
    pub(super) said: Columns,
}

/// Columns, and the version that says them.
pub(super) type Learned = (Columns, SchemaVersion);

impl Learner {
    /// Reads what the format says of columns.
    pub(in crate::pipeline) fn of(settings: &FormatSettings) -> Result<Self, FormatFault> {
        let said = settings.columns().map(Columns::known_of).transpose()?;
        Ok(Self {
            settings: settings.clone(),
            said: said.unwrap_or_default(),
        })
    }

    /// What records show, as far as the format can name it, with the types that the config knows.
    pub(super) fn shown(&self, seen: Columns, in_force: Option<&Columns>) -> Columns {
        let named = seen.with_names(&|name| self.settings.takes_name(name));
        let columns = self.settings.columns();
        let named = match columns.map(|columns| &columns.rules.unknown) {
            // The name is that of the column of what no other takes.
            Some(UnknownFields::Keep(unknown)) => {
                named.only(|name| !name.eq_ignore_ascii_case(unknown))
            }
            _ => named,
        };
        named.with_known(&self.said, in_force)
    }

    /// The first columns. The error says why there are none.
    pub(super) fn first(&self, seen: Columns, now_ms: i64) -> Result<Learned, String> {
        let first = |shown: &Columns| {
            let columns = self.said.clone().with_shown(shown);
            let version = version(1, now_ms, &columns, Vec::new());
            (columns, version)
        };
        let shown = self.shown(seen, None);
        let all = first(&shown);
        if all.0.is_empty() {
            let why = "No column could be learned: no record has a field with a value and a name that a column can have.";
            return Err(why.to_owned());
        }
        let fitting = fitting(shown, &|shown| self.compile(&first(shown).1).is_ok());
        // Where nothing fits, whoever compiles all of them says why.
        Ok(Some(first(&fitting))
            .filter(|(columns, _)| !columns.is_empty())
            .unwrap_or(all))
    }

    /// Columns that take what records have, after those of version `number`. `None`: they take it already, as far as the
    /// format can have columns for it.
    pub(super) fn wider(
        &self,
        (columns, number): (&Columns, u32),
        seen: Columns,
        now_ms: i64,
    ) -> Option<Learned> {
        let wider = |shown: &Columns| {
            let (columns, changes) = columns.widened(shown)?;
            let version = version(number + 1, now_ms, &columns, changes);
            Some((columns, version))
        };
        let shown = self.shown(seen, Some(columns));
        wider(&shown)?;
        let fits = |shown: &Columns| {
            wider(shown).is_none_or(|(_, version)| self.compile(&version).is_ok())
        };
        wider(&fitting(shown, &fits))
    }

    /// The version that comes after `before` and takes what records have, of which some came after others; the first, where
    /// there is none before. `None`: that one takes it, as far as any ever will. The error says why no column comes of
    /// these records.
    pub(in crate::pipeline) fn next(
        &self,
        before: Option<&SchemaVersion>,
        seen: &[Columns],
        now_ms: i64,
    ) -> Result<Option<SchemaVersion>, String> {
        let Some(before) = before else {
            return self.begin(seen, now_ms).map(Some);
        };
        let begun = Columns::parse(&before.columns).map_err(|fault| fault.to_string())?;
        let mut newest: Option<Learned> = None;
        // Not all at once: what some have hides nothing of what others have, which is in none of their types.
        for seen in seen {
            let columns = newest.as_ref().map_or(&begun, |(columns, _)| columns);
            let wider = self.wider((columns, before.version), seen.clone(), now_ms);
            newest = wider.or(newest);
        }
        Ok(newest.map(|(columns, version)| SchemaVersion {
            changes: begun.changes_to(&columns).into_iter().map(row).collect(),
            ..version
        }))
    }

    /// The first version, of the first records of which one comes.
    fn begin(&self, seen: &[Columns], now_ms: i64) -> Result<SchemaVersion, String> {
        let mut why = None;
        let none = [Columns::default()];
        let seen = if seen.is_empty() { &none } else { seen };
        for (place, shown) in seen.iter().enumerate() {
            let version = self.first(shown.clone(), now_ms).and_then(|(_, version)| {
                let fault = self.compile(&version).err();
                fault.map_or(Ok(version), |fault| {
                    Err(format!("No column could be learned: {fault}"))
                })
            });
            match version {
                Ok(first) => {
                    let wider = self.next(Some(&first), &seen[place + 1..], now_ms)?;
                    let columns = wider.map_or(first.columns.clone(), |wider| wider.columns);
                    return Ok(SchemaVersion { columns, ..first });
                }
                Err(fault) => {
                    why.get_or_insert(fault);
                }
            }
        }
        Err(why.unwrap_or_default())
    }

    /// The columns of a table as data has them: without that of what no other takes, where it is the last. The error says
    /// why the format cannot have them.
    pub(in crate::pipeline) fn of_table(&self, columns: Columns) -> Result<Columns, FormatFault> {
        let columns = match self.settings.columns() {
            Some(settings) => columns.without_unknown_of(&settings.rules),
            None => columns,
        };
        Format::compile(&self.settings.of_columns(&columns.to_config()))?;
        Ok(columns)
    }

    /// Whether the format can have these columns.
    fn compile(&self, version: &SchemaVersion) -> Result<(), FormatFault> {
        let settings = self.settings.of_columns(&version.columns);
        Format::compile(&settings).map(drop)
    }
}

/// As many of the shown columns as fit together. One that the format cannot have is left out, and keeps no other from
/// being learned; its records keep to the columns that there are.
fn fitting(shown: Columns, fits: &dyn Fn(&Columns) -> bool) -> Columns {
    if fits(&shown) {
        return shown;
    }
    let mut taken = BTreeSet::new();
    // Pieces of them that are to be tried, the last one next.
    let mut pieces = vec![shown.names().map(str::to_owned).collect::<Vec<_>>()];
    let mut tries = 0;
    while let Some(mut piece) = pieces.pop()
        && tries < TRIES_MAX
    {
        tries += 1;
        let is_tried = |name: &str| taken.contains(name) || piece.iter().any(|of| of == name);
        if fits(&shown.clone().only(is_tried)) {
            taken.extend(piece);
        } else if piece.len() > 1 {
            let rest = piece.split_off(piece.len() / 2);
            pieces.extend([rest, piece]);
        }
    }
    shown.only(|name| taken.contains(name))
}

fn version(number: u32, at_ms: i64, columns: &Columns, changes: Vec<Widening>) -> SchemaVersion {
    SchemaVersion {
        version: number,
        at_ms,
        columns: columns.to_config(),
        changes: changes.into_iter().map(row).collect(),
        table: None,
    }
}

/// A change of columns, as it is kept.
pub(in crate::pipeline) fn row(Widening { path, from, to }: Widening) -> SchemaChange {
    SchemaChange { path, from, to }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tests::learned::rows;

    #[test]
    fn what_some_records_have_hides_nothing_of_what_others_have() {
        let learner = Learner::of(&rows()).unwrap();
        let columns = |text: &str| match text {
            "" => Columns::default(),
            text => Columns::parse(text).unwrap(),
        };
        let next = |before: Option<&SchemaVersion>, seen: &[&str]| {
            let seen: Vec<Columns> = seen.iter().map(|seen| columns(seen)).collect();
            learner.next(before, &seen, 7)
        };
        let seen = [
            "o bigint, z bigint",
            "o struct<a:bigint,b:string>",
            "z double",
        ];
        let before = version(4, 5, &columns("o struct<a:bigint>"), Vec::new());
        let wider = next(Some(&before), &seen).unwrap().unwrap();
        let expected = "o struct<a:bigint,b:string>, z double";
        assert_eq!((wider.version, &*wider.columns), (5, expected));
        let changes: Vec<String> = wider.changes.iter().map(ToString::to_string).collect();
        assert_eq!(changes, ["o.b string is new", "z double is new"]);
        assert_eq!(next(Some(&wider), &seen), Ok(None));
        let first = next(
            None,
            &["", "o struct<a:bigint>, m date", "o bigint, n bigint"],
        );
        let first = first.unwrap().unwrap();
        assert_eq!((first.version, first.changes.len()), (1, 0));
        assert_eq!(first.columns, "o struct<a:bigint>, m date, n bigint");
        assert!(next(None, &["", ""]).unwrap_err().contains("No column"));
    }

    #[test]
    fn what_the_format_cannot_have_keeps_nothing_else_from_being_learned() {
        let names: Vec<String> = (0..40).map(|id| format!("c{id}")).collect();
        let shown = Columns::parse(&(names.join(" int, ") + " int")).unwrap();
        for bad in [&[][..], &["c0"], &["c17"], &["c39"], &["c3", "c4", "c30"]] {
            let fits = |of: &Columns| !of.names().any(|name| bad.contains(&name));
            let expected = shown.clone().only(|name| !bad.contains(&name));
            assert_eq!(fitting(shown.clone(), &fits), expected, "{bad:?}");
        }
        let tries = std::cell::Cell::new(0);
        let none = |_: &Columns| {
            tries.set(tries.get() + 1);
            false
        };
        assert!(fitting(shown, &none).is_empty());
        assert!(tries.get() <= TRIES_MAX + 1, "{tries:?}");
    }
}
