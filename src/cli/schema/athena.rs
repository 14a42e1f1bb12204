//! `CREATE EXTERNAL TABLE` as Athena takes it, and Hive but for the properties of partitions.

use std::fmt;

use super::projection::{FIRST_YEAR, Projection};
use crate::config::{Parameters, Reading, Storage, StreamSettings};
use crate::format::{Columns, Style};
use crate::partition::{PartitionValue, PrefixLayout};
use crate::pipeline::out_of_place;

/// The declaration of a stream's objects as a table.
pub(super) struct AthenaTable {
    name: String,
    columns: Vec<(String, String)>,
    partitions: Vec<(String, &'static str)>,
    /// The class that makes columns of a row, and what it is told.
    serde: Option<(&'static str, Parameters)>,
    stored: &'static str,
    location: String,
    properties: Vec<(String, String)>,
    /// What a person should know, before the statement.
    remarks: Vec<String>,
}

impl AthenaTable {
    /// The table of a stream whose objects have these columns. The error says why there is none.
    pub(super) fn of(
        stream: &StreamSettings,
        columns: Columns,
        layout: &PrefixLayout,
    ) -> Result<Self, String> {
        let Storage {
            stored,
            remark,
            reading,
            ..
        } = stream.format.storage()?;
        let mut table = Self {
            name: table_name(&stream.name),
            columns: Vec::new(),
            partitions: Vec::new(),
            serde: None,
            stored,
            location: stream.destination.store.location(&layout.head),
            properties: Vec::new(),
            remarks: remark.map(str::to_owned).into_iter().collect(),
        };
        table.place();
        table.partition(stream, layout);
        let columns = table.without_partitions(columns, reading)?;
        let settings = columns.of_format(&stream.format);
        let Storage {
            serde, properties, ..
        } = settings.storage()?;
        table.serde = serde;
        for (name, value) in properties {
            table.property(name, &value);
        }
        table.columns = columns.found(reading).texts(Style::Hive);
        Ok(table)
    }

    /// Says where the objects are, if that is no place for Athena.
    fn place(&mut self) {
        if !self.location.contains("://") {
            self.remarks.push(format!(
                "{} is on this machine: copy the objects to a bucket and name that in LOCATION",
                self.location
            ));
        }
        if !self.location.ends_with('/') {
            self.location.push('/');
        }
    }

    /// Declares the partitions: as their values can be known, else as they can be found by name.
    fn partition(&mut self, stream: &StreamSettings, layout: &PrefixLayout) {
        let zone = stream.partitioning.time_zone.as_deref();
        let is_utc = zone.is_none_or(|zone| matches!(zone, "" | "UTC" | "Etc/UTC"));
        let all = &layout.partitions;
        let projections = all
            .iter()
            .map(|partition| Projection::of(partition, is_utc));
        let projections: Option<Vec<Projection>> = projections.collect();
        let Some(projections) = projections else {
            self.find_partitions(layout);
            return;
        };
        if all.is_empty() {
            return;
        }
        self.property("projection.enabled", "true");
        let mut has_years = false;
        for (partition, projection) in all.iter().zip(projections) {
            let name = &partition.name;
            for (property, value) in &projection.properties {
                has_years |= *property == "range" && value.starts_with(&FIRST_YEAR.to_string());
                self.property(&format!("projection.{name}.{property}"), value);
            }
            if projection.is_injected() {
                self.remarks.push(format!(
                    "each query must say {name} = '…'; where there are few values, list them instead: \
                     'projection.{name}.type' = 'enum', 'projection.{name}.values' = 'a,b'"
                ));
            }
            self.partitions.push((name.clone(), projection.kind));
        }
        if has_years {
            self.remarks.push(format!(
                "partitions begin with the year {FIRST_YEAR}: fewer years are faster"
            ));
        }
        let is_time = |value: &PartitionValue| matches!(value, PartitionValue::Time { .. });
        if !is_utc && all.iter().any(|partition| is_time(&partition.value)) {
            let zone = zone.unwrap_or_default();
            self.remarks
                .push(format!("times in keys are those of {zone}"));
        }
        let template = format!("{}{}", self.location, layout.template);
        self.property("storage.location.template", &template);
    }

    /// Partitions that are not known, but named in their keys.
    fn find_partitions(&mut self, layout: &PrefixLayout) {
        if !layout.is_hive {
            let why =
                "the prefix has random texts, so partitions cannot be known: all objects are read";
            self.remarks.push(why.to_owned());
            return;
        }
        let names = layout
            .partitions
            .iter()
            .map(|partition| partition.name.clone());
        self.partitions = names.map(|name| (name, "string")).collect();
        self.remarks.push(format!(
            "the prefix has random texts, so partitions must be found: MSCK REPAIR TABLE {}, again and again",
            quoted(&self.name)
        ));
    }

    fn property(&mut self, name: &str, value: &str) {
        self.properties.push((name.to_owned(), value.to_owned()));
    }

    /// The columns but for those that a partition is called like: a table has a name once.
    fn without_partitions(
        &mut self,
        columns: Columns,
        reading: Reading,
    ) -> Result<Columns, String> {
        let partitions = self.partitions.iter().map(|(name, _)| name.clone());
        let partitions: Vec<String> = partitions.collect();
        let is_one = |name: &str| {
            partitions
                .iter()
                .any(|other| other.eq_ignore_ascii_case(name))
        };
        for name in columns.names().filter(|name| is_one(name)) {
            if reading == Reading::ByPlace {
                return Err(out_of_place(name));
            }
            self.remarks.push(format!(
                "column {name} is left out: the partition of that name stands for it"
            ));
        }
        let columns = columns.only(|name| !is_one(name));
        if columns.is_empty() {
            return Err("every column is a partition, so none is left for the table".to_owned());
        }
        Ok(columns)
    }
}

impl fmt::Display for AthenaTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for remark in &self.remarks {
            // A comment ends with its line.
            writeln!(formatter, "-- {}", crate::printable::printable(remark))?;
        }
        writeln!(formatter, "CREATE EXTERNAL TABLE {} (", quoted(&self.name))?;
        let columns = self.columns.iter();
        listed(
            formatter,
            columns.map(|(name, kind)| format!("{name} {kind}")),
        )?;
        if !self.partitions.is_empty() {
            writeln!(formatter, "PARTITIONED BY (")?;
            let partitions = self.partitions.iter();
            listed(
                formatter,
                partitions.map(|(name, kind)| format!("{} {kind}", quoted(name))),
            )?;
        }
        if let Some((serde, parameters)) = &self.serde {
            writeln!(formatter, "ROW FORMAT SERDE {}", literal(serde))?;
            if !parameters.is_empty() {
                writeln!(formatter, "WITH SERDEPROPERTIES (")?;
                let parameters = parameters.iter();
                let parameters = parameters
                    .map(|(name, value)| format!("{} = {}", literal(name), literal(value)));
                listed(formatter, parameters)?;
            }
        }
        writeln!(formatter, "{}", self.stored)?;
        write!(formatter, "LOCATION {}", literal(&self.location))?;
        if !self.properties.is_empty() {
            writeln!(formatter, "\nTBLPROPERTIES (")?;
            let properties = self.properties.iter();
            let properties =
                properties.map(|(name, value)| format!("{} = {}", literal(name), literal(value)));
            let properties: Vec<String> = properties.collect();
            write!(formatter, "  {}\n)", properties.join(",\n  "))?;
        }
        writeln!(formatter, ";")
    }
}

/// Items a line each, and the bracket behind them.
fn listed(formatter: &mut fmt::Formatter<'_>, items: impl Iterator<Item = String>) -> fmt::Result {
    let items: Vec<String> = items.collect();
    writeln!(formatter, "  {}\n)", items.join(",\n  "))
}

/// A stream's name as that of a table: small letters, digits and `_`.
fn table_name(stream: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '_'
        }
    };
    stream.chars().map(plain).collect()
}

/// A name that is no reserved word so.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text of Hive's SQL.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
