//! A line of CSV becomes a JSON object with typed fields: `1,Ada,36` becomes
//! `{"id":1,"name":"Ada","age":36}`.
//!
//! ```toml
//! [stream.people.transform.config]
//! columns = ["id:int", "name:string", "age:int?"]   # string, int, float, bool; ? lets it be empty
//! delimiter = ","                                   # the default
//! header = true                                     # leaves a line out that is the header; default false
//! null = "-"                                        # a field that is this text is null; default: none is
//! ```
//!
//! A record is one row, quoted as RFC 4180 has it: `"` around a field that holds a delimiter, a line
//! break or a quote, which is doubled then. A quote in the middle of a bare field is just a quote.
//! Numbers keep their digits, however many; only `+` and leading zeros go, which JSON does not know.
//! An empty field is `null` where its type has a `?`, and one that is the text of `null` in any column;
//! in quotes both are text. A number that is none, and a row with too few or too many fields, fail that
//! record.

use std::borrow::Cow;

use firehose_transform::{Failure, Outcome, Record, Transform, export, json};
use serde::Deserialize;

/// The `[config]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    columns: Vec<String>,
    #[serde(default = "comma")]
    delimiter: String,
    #[serde(default)]
    header: bool,
    #[serde(default)]
    null: Option<String>,
}

fn comma() -> String {
    ",".to_owned()
}

/// The transform.
pub struct CsvToJson {
    columns: Vec<Column>,
    delimiter: u8,
    header: bool,
    null: Option<String>,
}

struct Column {
    name: String,
    /// `"name":`, with the comma or brace before it.
    head: Vec<u8>,
    kind: Kind,
    may_be_empty: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    String,
    Int,
    Float,
    Bool,
}

impl Transform for CsvToJson {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, Failure> {
        let &[delimiter] = config.delimiter.as_bytes() else {
            return Err("`delimiter` must be one ASCII character".into());
        };
        if matches!(delimiter, b'"' | b'\n' | b'\r') {
            return Err("`delimiter` can be neither a quote nor a line break".into());
        }
        let is_field = |text: &str| {
            let ends = |byte: u8| byte == delimiter || matches!(byte, b'\n' | b'\r');
            !text.starts_with('"') && !text.bytes().any(ends)
        };
        if !config.null.as_deref().is_none_or(is_field) {
            return Err("`null` must be what a field can be without quotes".into());
        }
        let mut columns: Vec<Column> = Vec::new();
        for written in &config.columns {
            let column = Column::parse(written, columns.is_empty())?;
            if columns.iter().any(|other| other.name == column.name) {
                return Err(format!("`columns` names `{}` twice", column.name).into());
            }
            columns.push(column);
        }
        if columns.is_empty() {
            return Err("`columns` names no column".into());
        }
        Ok(Self {
            columns,
            delimiter,
            header: config.header,
            null: config.null,
        })
    }

    fn transform(&mut self, record: Record) -> Result<Outcome, Failure> {
        let row = json::text(&record.data)?;
        let row = row.strip_suffix('\n').unwrap_or(row);
        let row = row.strip_suffix('\r').unwrap_or(row);
        if self.header && self.is_header(row) {
            return Ok(Outcome::Dropped);
        }
        let mut out = Vec::with_capacity(
            row.len() + self.columns.iter().map(|c| c.head.len() + 4).sum::<usize>(),
        );
        let mut count = 0;
        for field in self.fields(row) {
            if let (field, Some(column)) = (field?, self.columns.get(count)) {
                column.write(&field, self.null.as_deref(), &mut out)?;
            }
            count += 1;
        }
        if count != self.columns.len() {
            return Err(format!("expected {} fields, found {count}", self.columns.len()).into());
        }
        out.push(b'}');
        Ok(Outcome::ok(out))
    }
}

export!(CsvToJson);

impl CsvToJson {
    fn fields<'a>(&self, row: &'a str) -> Fields<'a> {
        Fields {
            rest: Some(row),
            delimiter: self.delimiter,
            number: 0,
        }
    }

    fn is_header(&self, row: &str) -> bool {
        let mut names = self.columns.iter().map(|column| column.name.as_str());
        self.fields(row)
            .all(|field| field.is_ok_and(|field| names.next() == Some(&*field.text)))
            && names.next().is_none()
    }
}

impl Column {
    fn parse(written: &str, first: bool) -> Result<Self, Failure> {
        let (name, kind) = written.rsplit_once(':').unwrap_or((written, "string"));
        let may_be_empty = kind.ends_with('?');
        let kind = match kind.trim_end_matches('?') {
            "string" => Kind::String,
            "int" => Kind::Int,
            "float" => Kind::Float,
            "bool" => Kind::Bool,
            other => {
                let text = format!(
                    "column `{name}`: there is no type `{other}`, only string, int, float and bool"
                );
                return Err(text.into());
            }
        };
        let mut head = vec![if first { b'{' } else { b',' }];
        json::write_string(name, &mut head);
        head.push(b':');
        Ok(Self {
            name: name.to_owned(),
            head,
            kind,
            may_be_empty,
        })
    }

    fn write(
        &self,
        field: &Field<'_>,
        null: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        out.extend_from_slice(&self.head);
        let is_null = self.may_be_empty && field.text.is_empty() || null == Some(&*field.text);
        if is_null && !field.quoted {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        let trimmed = field.text.trim_ascii();
        let (expected, written) = match self.kind {
            Kind::String => {
                json::write_string(&field.text, out);
                return Ok(());
            }
            Kind::Int => ("int", write_number(trimmed, false, out)),
            Kind::Float => ("float", write_number(trimmed, true, out)),
            Kind::Bool => ("bool", write_bool(trimmed, out)),
        };
        written.ok_or_else(|| {
            let mut found = Vec::new();
            json::write_string(&field.text, &mut found);
            let found = String::from_utf8_lossy(&found);
            format!("column `{}`: expected {expected}, found {found}", self.name).into()
        })
    }
}

/// Appends a number as JSON writes it. Its digits are looked at and never calculated with.
fn write_number(text: &str, float: bool, out: &mut Vec<u8>) -> Option<()> {
    let (minus, unsigned) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    };
    let (whole, rest) = digits(unsigned)?;
    let mut rest = rest;
    if let (true, [b'.', fraction @ ..]) = (float, rest) {
        rest = digits(fraction)?.1;
    }
    if let (true, [b'e' | b'E', exponent @ ..]) = (float, rest) {
        let exponent = match exponent {
            [b'-' | b'+', rest @ ..] => rest,
            all => all,
        };
        rest = digits(exponent)?.1;
    }
    if !rest.is_empty() {
        return None;
    }
    let zeros = whole[..whole.len() - 1]
        .iter()
        .take_while(|digit| **digit == b'0')
        .count();
    if minus {
        out.push(b'-');
    }
    out.extend_from_slice(&unsigned[zeros..]);
    Some(())
}

/// The digits at the top, at least one, and what follows them.
fn digits(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count > 0).then(|| text.split_at(count))
}

fn write_bool(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let value: &[u8] = if text.eq_ignore_ascii_case("true") {
        b"true"
    } else if text.eq_ignore_ascii_case("false") {
        b"false"
    } else {
        return None;
    };
    out.extend_from_slice(value);
    Some(())
}

/// The fields of a row.
struct Fields<'a> {
    /// What is still to be read; nothing once the last field was.
    rest: Option<&'a str>,
    delimiter: u8,
    number: usize,
}

struct Field<'a> {
    text: Cow<'a, str>,
    quoted: bool,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        self.number += 1;
        Some(match rest.strip_prefix('"') {
            Some(inner) => self.quoted(inner),
            None => self.bare(rest),
        })
    }
}

impl<'a> Fields<'a> {
    fn bare(&mut self, rest: &'a str) -> Result<Field<'a>, Failure> {
        let is_end = |byte: &u8| *byte == self.delimiter || matches!(byte, b'\n' | b'\r');
        let end = rest
            .bytes()
            .position(|byte| is_end(&byte))
            .unwrap_or(rest.len());
        let (text, after) = rest.split_at(end);
        self.go_on(after, "a line break outside of quotes; a record is one row")?;
        Ok(Field {
            text: Cow::Borrowed(text),
            quoted: false,
        })
    }

    /// `inner` is what follows the opening quote.
    fn quoted(&mut self, inner: &'a str) -> Result<Field<'a>, Failure> {
        let mut text = Cow::Borrowed("");
        let mut inner = inner;
        loop {
            let Some((part, after)) = inner.split_once('"') else {
                return Err(format!("field {}: a quote is never closed", self.number).into());
            };
            // `Cow` keeps the first part borrowed: a field without doubled quotes is not copied.
            text += part;
            if let Some(after) = after.strip_prefix('"') {
                text += "\"";
                inner = after;
            } else {
                self.go_on(after, "text after the closing quote")?;
                return Ok(Field { text, quoted: true });
            }
        }
    }

    /// Steps over the delimiter.
    fn go_on(&mut self, after: &'a str, otherwise: &str) -> Result<(), Failure> {
        self.rest = match after.as_bytes().first() {
            None => None,
            Some(byte) if *byte == self.delimiter => Some(&after[1..]),
            Some(_) => return Err(format!("field {}: {otherwise}", self.number).into()),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn pairs() {
        firehose_transform::pairs::check::<super::CsvToJson>("pairs");
    }
}
