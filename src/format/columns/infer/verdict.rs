//! What type the counts make, and what is to be told of them.

use std::fmt;

use super::super::declared::type_text;
use super::super::schema::{Field, HiveType};
use super::NAMES_MAX;
use super::seen::SeenValues;

/// What was seen at a place of the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `user.id`, `lines[].price` for items and for values of maps.
    pub path: String,
    /// The Hive type; none where there is no column or field for it.
    pub kind: Option<String>,
    /// How many objects have it; of items and values of maps, how many there are.
    pub values: u64,
    /// How many could have it: objects around it, or as many as there are.
    pub of: u64,
    /// How many of what kind, those that occur.
    pub seen: Vec<(&'static str, u64)>,
    /// What a person should know of it.
    pub remarks: Vec<Remark>,
}

/// What a person should know of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// No column: only nulls.
    OnlyNull,
    /// No column: only empty objects or arrays.
    OnlyEmpty,
    /// No column: nothing in it has a type.
    Hollow,
    /// No column: Hive's cannot have the name.
    Name,
    /// Values of several kinds.
    Conflict,
    /// Numbers that no type of numbers keeps.
    Large,
    /// Integers that a double may round.
    Rounded,
    /// Objects with so many names that they are maps.
    Map,
    /// What is inside is text.
    Opaque,
    /// Members whose names are not kept.
    LeftOut,
}

impl Remark {
    /// A word for machines.
    pub const fn word(self) -> &'static str {
        match self {
            Self::OnlyNull => "only-null",
            Self::OnlyEmpty => "only-empty",
            Self::Hollow => "hollow",
            Self::Name => "name",
            Self::Conflict => "conflict",
            Self::Large => "large",
            Self::Rounded => "rounded",
            Self::Map => "map",
            Self::Opaque => "opaque",
            Self::LeftOut => "left-out",
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::OnlyNull => "is null wherever it is",
            Self::OnlyEmpty => "has only empty objects or arrays",
            Self::Hollow => "has nothing in it with a type",
            Self::Name => "has a name that Hive does not take",
            Self::Conflict => "has values of several kinds, which only a text takes",
            Self::Large => "has numbers that only a text keeps whole",
            Self::Rounded => "has integers beyond 2^53, which a double may round",
            Self::Map => return write!(formatter, "has more than {NAMES_MAX} names, as a map has"),
            Self::Opaque => "nests too deep, or has too much in it: it is kept as text",
            Self::LeftOut => "has members with further names, which are left out",
        })
    }
}

/// The columns of records.
pub(super) fn columns(root: &SeenValues) -> Vec<Field> {
    typed(root, is_column_name)
}

/// What was seen at each place below the records.
pub(super) fn findings(root: &SeenValues) -> Vec<Finding> {
    let mut findings = Vec::new();
    members(root, "", is_column_name, &mut findings);
    findings
}

/// Whether a column, or a field, can have that name.
pub(in crate::format::columns) fn can_name(name: &str, is_column: bool) -> bool {
    if is_column {
        is_column_name(name)
    } else {
        is_field_name(name)
    }
}

/// What the name of a column may be, for catalogues and engines, not only for the parser of schemas.
fn is_column_name(name: &str) -> bool {
    let is_allowed = |c: char| is_field_char(c) || matches!(c, '-' | '@');
    !name.is_empty() && name.chars().all(is_allowed)
}

/// The same of a field: metastores keep types as texts in which names stand bare.
fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_field_char)
}

fn is_field_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

/// The members that have a type, and a name that can be declared.
fn typed(seen: &SeenValues, can_name: fn(&str) -> bool) -> Vec<Field> {
    let named = seen.fields.iter().filter(|member| can_name(&member.name));
    let typed = named.filter_map(|member| {
        let (name, kind) = (member.name.clone(), kind(&member.seen).ok()?);
        Some(Field { name, kind })
    });
    typed.collect()
}

/// The type of a place, or why it has none.
fn kind(seen: &SeenValues) -> Result<HiveType, Remark> {
    if seen.opaque || has_conflict(seen) {
        return Ok(HiveType::String);
    }
    let inner = |seen: &SeenValues| kind(seen).map(Box::new).map_err(|_| Remark::Hollow);
    if seen.booleans > 0 {
        Ok(HiveType::Boolean)
    } else if seen.large > 0 || seen.texts > 0 {
        Ok(HiveType::String)
    } else if seen.fractions > 0 {
        Ok(HiveType::Double)
    } else if seen.integers > 0 {
        Ok(HiveType::BigInt)
    } else if seen.times > 0 {
        Ok(HiveType::Timestamp)
    } else if seen.dates > 0 {
        Ok(HiveType::Date)
    } else if let Some(items) = &seen.items {
        Ok(HiveType::Array(inner(items)?))
    } else if let Some(values) = &seen.values {
        Ok(HiveType::Map(Box::new(HiveType::String), inner(values)?))
    } else if seen.fields.len() > 0 || seen.left_out > 0 {
        let fields = typed(seen, is_field_name);
        let is_some = !fields.is_empty();
        is_some
            .then_some(HiveType::Struct(fields))
            .ok_or(Remark::Hollow)
    } else if seen.objects > 0 || seen.arrays > 0 {
        Err(Remark::OnlyEmpty)
    } else {
        Err(Remark::OnlyNull)
    }
}

/// Whether values are of several kinds, between which nothing but a text lies.
fn has_conflict(seen: &SeenValues) -> bool {
    let numbers = seen.integers + seen.fractions + seen.large;
    let texts = seen.dates + seen.times + seen.texts;
    let kinds = [seen.booleans, numbers, texts, seen.arrays, seen.objects];
    kinds.into_iter().filter(|count| *count > 0).count() > 1
}

fn members(seen: &SeenValues, path: &str, can_name: fn(&str) -> bool, findings: &mut Vec<Finding>) {
    for member in seen.fields.iter() {
        let path = match path {
            "" => member.name.clone(),
            path => format!("{path}.{}", member.name),
        };
        let is_named = can_name(&member.name);
        place(&member.seen, &path, seen.objects, is_named, findings);
    }
}

/// Tells of a place that `of` objects could have, and of those in it.
fn place(seen: &SeenValues, path: &str, of: u64, is_named: bool, findings: &mut Vec<Finding>) {
    let kind = if is_named {
        kind(seen)
    } else {
        Err(Remark::Name)
    };
    let counts = [
        ("null", seen.nulls),
        ("boolean", seen.booleans),
        ("integer", seen.integers),
        ("fraction", seen.fractions),
        ("large number", seen.large),
        ("date", seen.dates),
        ("timestamp", seen.times),
        ("text", seen.texts),
        ("array", seen.arrays),
        ("object", seen.objects),
    ];
    let is_text = kind == Ok(HiveType::String);
    let remarks = [
        (Remark::Conflict, is_text && has_conflict(seen)),
        (Remark::Large, is_text && seen.large > 0),
        (Remark::Opaque, is_text && seen.opaque),
        (
            Remark::Rounded,
            kind == Ok(HiveType::Double) && seen.long > 0,
        ),
        (Remark::Map, matches!(kind, Ok(HiveType::Map(..)))),
        (
            Remark::LeftOut,
            seen.left_out > 0 && matches!(kind, Ok(HiveType::Struct(_))),
        ),
    ];
    let remarks = remarks.into_iter().filter(|(_, is_so)| *is_so);
    let remarks = remarks.map(|(remark, _)| remark);
    findings.push(Finding {
        kind: kind.as_ref().ok().map(type_text),
        values: seen.present,
        of,
        seen: counts.into_iter().filter(|(_, count)| *count > 0).collect(),
        remarks: kind
            .as_ref()
            .err()
            .copied()
            .into_iter()
            .chain(remarks)
            .collect(),
        path: path.to_owned(),
    });
    if is_text || kind == Err(Remark::Name) {
        return;
    }
    for inner in [&seen.items, &seen.values].into_iter().flatten() {
        place(inner, &format!("{path}[]"), inner.present, true, findings);
    }
    members(seen, path, is_field_name, findings);
}
