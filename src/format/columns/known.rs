//! Columns that somebody knows among those that a stream learns: they have the types that he says, whatever records show.

use super::declared::Columns;
use super::schema::{Field, HiveType};
use crate::config::ColumnSettings;
use crate::format::FormatFault;

impl Columns {
    /// Those that settings know; the fault points into their text.
    pub fn known_of(settings: &ColumnSettings) -> Result<Self, FormatFault> {
        let known = settings.known.as_deref().map(Self::parse);
        known.unwrap_or_else(|| Ok(Self::default()))
    }

    /// These, which are known, and behind them what records show beside them: the first columns of a stream.
    #[must_use]
    pub fn with_shown(self, shown: &Self) -> Self {
        match self.widened(shown) {
            Some((wider, _)) => wider,
            None => self,
        }
    }

    /// These, which records show, with the types that are known of them. What is in force as something else stays what it
    /// is, and widens as if nothing were known of it.
    #[must_use]
    pub fn with_known(self, known: &Self, in_force: Option<&Self>) -> Self {
        if known.is_empty() {
            return self;
        }
        let mut fields = self.fields().to_vec();
        let in_force = in_force.map_or(&[][..], Self::fields);
        set_known(&mut fields, known.fields(), in_force);
        Self::of(fields)
    }
}

fn set_known(shown: &mut [Field], known: &[Field], in_force: &[Field]) {
    for field in shown {
        if let Some(known) = kind_of(known, &field.name) {
            set_kind(&mut field.kind, known, kind_of(in_force, &field.name));
        }
    }
}

fn kind_of<'f>(fields: &'f [Field], name: &str) -> Option<&'f HiveType> {
    let mut fields = fields.iter();
    let found = fields.find(|field| field.name.eq_ignore_ascii_case(name));
    found.map(|field| &field.kind)
}

/// Of a struct the fields are known that are named: records may show more of them.
fn set_kind(shown: &mut HiveType, known: &HiveType, in_force: Option<&HiveType>) {
    match (&mut *shown, known, in_force) {
        (HiveType::Struct(shown), HiveType::Struct(known), None) => set_known(shown, known, &[]),
        (HiveType::Struct(shown), HiveType::Struct(known), Some(HiveType::Struct(in_force))) => {
            set_known(shown, known, in_force);
        }
        (HiveType::Array(shown), HiveType::Array(known), None) => set_kind(shown, known, None),
        (HiveType::Array(shown), HiveType::Array(known), Some(HiveType::Array(in_force))) => {
            set_kind(shown, known, Some(in_force));
        }
        (_, _, in_force) if in_force.is_none_or(|in_force| in_force == known) => {
            *shown = known.clone();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::Inference;
    use super::*;

    fn columns(text: &str) -> Columns {
        Columns::parse(text).unwrap()
    }

    /// What is in force after records came one by one, of which the first is the sample.
    fn learned(known: &str, records: &[&str]) -> String {
        let known = columns(known);
        let mut in_force: Option<Columns> = None;
        for record in records {
            let mut seen = Inference::default();
            seen.observe(record.as_bytes()).unwrap();
            let shown = seen.columns().with_known(&known, in_force.as_ref());
            in_force = Some(match in_force {
                None => known.clone().with_shown(&shown),
                Some(before) => match before.widened(&shown) {
                    Some((wider, _)) => wider,
                    None => before,
                },
            });
        }
        in_force.unwrap().to_config()
    }

    #[test]
    fn what_is_known_stays_and_all_else_is_learned_beside_it() {
        for (known, records, expected) in [
            ("a bigint", &[r#"{"b":1}"#][..], "a bigint, b bigint"),
            // One odd value does not make it a text.
            ("a bigint", &[r#"{"a":1}"#, r#"{"a":"x"}"#], "a bigint"),
            ("a int", &[r#"{"a":1.5}"#, r#"{"A":[]}"#], "a int"),
            // And what is wild is one from the start.
            (
                "a string",
                &[r#"{"a":{"b":1}}"#, r#"{"a":1,"c":1}"#],
                "a string, c bigint",
            ),
            (
                "p struct<raw:string>",
                &[
                    r#"{"p":{"n":1,"raw":{"x":1}}}"#,
                    r#"{"p":{"raw":7,"m":true}}"#,
                ],
                "p struct<raw:string,n:bigint,m:boolean>",
            ),
            (
                "l array<struct<p:decimal(9,2)>>",
                &[r#"{"l":[{"p":1,"q":1}]}"#, r#"{"l":[{"p":"x","q":0.5}]}"#],
                "l array<struct<p:decimal(9,2),q:double>>",
            ),
            (
                "m map<string,string>",
                &[r#"{"m":{"a":1}}"#, r#"{"m":{"b":{"c":1}}}"#],
                "m map<string,string>",
            ),
            // A value that it does not take changes nothing.
            (
                "p struct<raw:string>",
                &[r#"{"p":"text"}"#, r#"{"p":[1]}"#],
                "p struct<raw:string>",
            ),
            (
                "t timestamp",
                &[r#"{"t":"22/11/2026"}"#, r#"{"t":1}"#],
                "t timestamp",
            ),
        ] {
            assert_eq!(learned(known, records), expected, "{known}: {records:?}");
        }
    }

    #[test]
    fn what_is_in_force_as_something_else_stays_that_and_widens_as_ever() {
        for (in_force, known, record, expected) in [
            ("a bigint", "a string", r#"{"a":1}"#, None),
            ("a bigint", "a int", r#"{"a":1}"#, None),
            ("a bigint", "a int", r#"{"a":0.5}"#, Some("a double")),
            ("a struct<b:bigint>", "a string", r#"{"a":"x"}"#, None),
            (
                "a struct<b:bigint>",
                "a struct<b:int,c:int>",
                r#"{"a":{"b":0.5,"c":"x"}}"#,
                Some("a struct<b:double,c:int>"),
            ),
            (
                "a array<bigint>",
                "a array<int>",
                r#"{"a":["x"]}"#,
                Some("a array<string>"),
            ),
            ("b bigint", "a int", r#"{"a":"x"}"#, Some("b bigint, a int")),
            (
                "b bigint",
                "a map<string,int>",
                r#"{"a":{"x":1}}"#,
                Some("b bigint, a map<string,int>"),
            ),
        ] {
            let mut seen = Inference::default();
            seen.observe(record.as_bytes()).unwrap();
            let in_force = columns(in_force);
            let shown = seen.columns().with_known(&columns(known), Some(&in_force));
            let wider = in_force.widened(&shown).map(|(wider, _)| wider.to_config());
            assert_eq!(wider.as_deref(), expected, "{known} and {record}");
        }
    }
}
