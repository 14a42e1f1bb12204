//! The metrics of fields that find no columns. Which there are shows with the records.

use std::collections::BTreeMap;

use metrics::Label;

use super::{Metrics, name};
use crate::telemetry::{DriftKind, FieldCount, FieldDrift, FieldFate};

impl Metrics {
    /// Takes over the counts of a stream's fields; done for every scrape.
    ///
    /// A backslash in a path is a slash here, for the exporter leaves out some of those before a quote or another one: two
    /// paths would be one series, which a scrape may not have twice. Paths that are one by that count together.
    pub fn observe_fields(&self, stream: &str, counts: &[FieldCount]) {
        let mut shown: BTreeMap<(FieldFate, String), u64> = BTreeMap::new();
        for FieldCount {
            fate,
            path,
            records,
        } in counts
        {
            *shown.entry((*fate, path.replace('\\', "/"))).or_default() += records;
        }
        for ((fate, path), records) in shown {
            let name = match fate {
                FieldFate::Unknown => name::UNKNOWN_FIELDS,
                FieldFate::Missing => name::MISSING_FIELDS,
                FieldFate::Nulled => name::NULLED_FIELDS,
                FieldFate::Coerced => name::COERCED_FIELDS,
            };
            let labels = vec![
                Label::new("stream", stream.to_owned()),
                Label::new("field", path),
            ];
            self.counter(name, labels).absolute(records);
        }
    }

    /// Takes over which fields and columns of a stream have lost each other; done for every scrape. Paths are those of
    /// [`Metrics::observe_fields`].
    pub fn observe_drift(&self, stream: &str, drifts: &[FieldDrift]) {
        let mut shown: BTreeMap<(DriftKind, String), bool> = BTreeMap::new();
        for FieldDrift { kind, path, lasts } in drifts {
            *shown.entry((*kind, path.replace('\\', "/"))).or_default() |= lasts;
        }
        for ((kind, path), lasts) in shown {
            let labels = vec![
                Label::new("stream", stream.to_owned()),
                Label::new("kind", kind.as_str()),
                Label::new("field", path),
            ];
            self.gauge(name::SCHEMA_DRIFT, labels)
                .set(f64::from(u8::from(lasts)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_path_is_one_series_whatever_quotes_and_backslashes_it_has() {
        let metrics = Metrics::new().unwrap();
        let paths = [
            "a\"b", "a\\\"b", "a\\\\\"b", "a\\b", "a/b", "c\\", "c\\\\", "d\\u{1b}", "(other)",
        ];
        let counts: Vec<_> = (1..)
            .zip(paths)
            .map(|(records, path)| FieldCount {
                fate: FieldFate::Unknown,
                path: path.to_owned(),
                records,
            })
            .collect();
        for _ in 0..2 {
            metrics.observe_fields("clicks", &counts);
        }
        let page = metrics.render();
        let start = format!("{}{{", name::UNKNOWN_FIELDS);
        let lines: Vec<_> = page
            .lines()
            .filter(|line| line.starts_with(&start))
            .collect();
        let series: BTreeSet<_> = lines
            .iter()
            .map(|line| line.rsplit_once(' ').unwrap().0)
            .collect();
        assert_eq!(series.len(), lines.len(), "{page}");
        for line in [
            r#"field="a\"b"} 1"#,
            r#"field="a/\"b"} 2"#,
            r#"field="a//\"b"} 3"#,
            r#"field="a/b"} 9"#,
            r#"field="c/"} 6"#,
            r#"field="c//"} 7"#,
            r#"field="d/u{1b}"} 8"#,
            r#"field="(other)"} 9"#,
        ] {
            let found = lines.iter().filter(|found| found.ends_with(line)).count();
            assert_eq!(found, 1, "{line}: {page}");
        }
    }
}
