//! `csv`: rows of fields between delimiters, in quotes where they need them (RFC 4180), without a header of their own.

use memchr::memchr;

use super::fields::{Field, ObjectWriter};
use super::lines::{self, Line, LineOutcome, line_end};
use super::port::{Fault, Parse, Parts};
use crate::config::{ParserKind, ParserSettings, ParserSpec, Table};

/// `type = "csv"`.
#[derive(Debug)]
pub(super) struct CsvParserKind;

/// What the config says of it.
#[derive(Debug, PartialEq, Eq)]
struct Rows {
    columns: Vec<Field>,
    /// What stands between fields: a byte of ASCII.
    delimiter: u8,
    /// What stands around fields that need it, and twice inside.
    quote: u8,
    /// A field that is exactly this text, without quotes, is a null.
    null: Option<String>,
    /// Whether a row of the columns' names is left out.
    header: bool,
    lines: bool,
}

impl ParserKind for CsvParserKind {
    fn word(&self) -> &'static str {
        "csv"
    }

    fn keys(&self) -> &'static [&'static str] {
        &[
            "columns",
            "delimiter",
            "quote",
            "null",
            "header",
            lines::KEY,
        ]
    }

    fn read(&self, table: &mut Table<'_>) -> Option<ParserSettings> {
        let help = r#"name them in order: columns = ["id:int", "name", "age:int?"]"#;
        table.require("columns", help);
        let has_columns = table.has("columns");
        let columns = Field::read_all(table, "columns");
        if has_columns && columns.as_ref().is_some_and(Vec::is_empty) {
            let place = table.place_of("columns");
            table.fault(place, "`columns` names none".to_owned(), Some(help));
        }
        let delimiter = character(table, "delimiter", b',');
        let quote = character(table, "quote", b'"');
        if let (Some(one), Some(other)) = (delimiter, quote)
            && one == other
        {
            let message = "`delimiter` and `quote` are the same character".to_owned();
            let place = table.place_of(if table.has("quote") {
                "quote"
            } else {
                "delimiter"
            });
            table.fault(place, message, Some("name two different ones"));
            return None;
        }
        let null = table.string("null").map(|text| text.value);
        let has_header = table.has("header");
        let header = table.boolean("header").or((!has_header).then_some(false));
        let lines = lines::read(table);
        let rows = Rows {
            columns: columns.filter(|columns| !columns.is_empty())?,
            delimiter: delimiter?,
            quote: quote?,
            null,
            header: header?,
            lines: lines?,
        };
        Some(rows.into())
    }
}

/// Reads a key that is one character.
fn character(table: &mut Table<'_>, key: &'static str, default: u8) -> Option<u8> {
    if !table.has(key) {
        let _ = table.string(key);
        return Some(default);
    }
    let text = table.string(key)?;
    let [one] = text.value.as_bytes() else {
        let message = format!("`{key}` is one character of ASCII");
        table.fault(text.origin.place(None), message, None);
        return None;
    };
    if one.is_ascii() && !matches!(one, b'\r' | b'\n' | 0) {
        return Some(*one);
    }
    let message = format!("`{key}` is one character of ASCII, and no line end");
    table.fault(text.origin.place(None), message, None);
    None
}

impl super::ParserEntry for CsvParserKind {
    fn parser<'s>(&self, settings: &'s ParserSettings) -> Option<&'s dyn Parse> {
        settings.get::<Rows>().map(|rows| rows as &dyn Parse)
    }
}

impl ParserSpec for Rows {
    fn word(&self) -> &'static str {
        CsvParserKind.word()
    }
}

impl Parse for Rows {
    fn parse(&self, record: &[u8], parts: &mut Parts<'_>) -> Result<(), Fault> {
        lines::parse(self, self.lines, record, parts)
    }
}

impl Line for Rows {
    fn line(&self, line: &str, out: &mut Vec<u8>) -> Result<LineOutcome, Fault> {
        let mut fields = CsvFields::of(self, line);
        let (mut cell, mut is_header, mut count) = (String::new(), self.header, 0);
        let mut object = ObjectWriter::begin(out);
        // The names of a header need not fit the types of their columns.
        let mut misfit = Ok(());
        while let Some(is_quoted) = fields.next(&mut cell)? {
            count += 1;
            let Some(column) = self.columns.get(count - 1) else {
                continue;
            };
            is_header &= cell == column.name;
            if !is_quoted && self.null.as_ref() == Some(&cell) {
                column.push_null(&mut object);
            } else if misfit.is_ok() {
                misfit = column.push(&cell, &mut object);
            }
        }
        object.end();
        if count != self.columns.len() {
            let expected = self.columns.len();
            let message = format!("the row has {count} fields, and there are {expected} columns");
            return Err(Fault::mismatch(message));
        }
        if is_header {
            return Ok(LineOutcome::Skipped);
        }
        misfit.map(|()| LineOutcome::Record)
    }

    /// A row of empty fields between tabs or spaces is a row.
    fn is_blank(&self, line: &[u8]) -> bool {
        let is_blank = |byte: &u8| byte.is_ascii_whitespace() && *byte != self.delimiter;
        line.iter().all(is_blank)
    }

    /// A line feed in quotes ends no row. Where quotes are never closed, lines are rows from there on, so that one of them
    /// alone fails.
    fn end(&self, rest: &[u8], is_torn: &mut bool) -> usize {
        let mut at = 0;
        while !*is_torn {
            if rest.get(at) == Some(&self.quote) {
                let Some(closed) = closing(&rest[at + 1..], self.quote) else {
                    *is_torn = true;
                    break;
                };
                at += 1 + closed + 1;
            }
            let ends = |byte: &u8| *byte == self.delimiter || *byte == b'\n';
            let Some(more) = rest[at..].iter().position(ends) else {
                return rest.len();
            };
            at += more;
            if rest[at] == b'\n' {
                return at;
            }
            at += 1;
        }
        line_end(rest)
    }
}

/// Where quotes close whose opening one has been read: two in a row are one of the text.
fn closing(text: &[u8], quote: u8) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr(quote, &text[at..])?;
        if text.get(at + 1) != Some(&quote) {
            return Some(at);
        }
        at += 2;
    }
}

/// The fields of a row.
struct CsvFields<'l> {
    rows: &'l Rows,
    line: &'l str,
    /// Where the next one begins; `None`: there is none.
    at: Option<usize>,
}

impl<'l> CsvFields<'l> {
    const fn of(rows: &'l Rows, line: &'l str) -> Self {
        Self {
            rows,
            line,
            at: Some(0),
        }
    }

    /// Reads the next field into `cell`: whether it stood in quotes. `None`: there is none.
    fn next(&mut self, cell: &mut String) -> Result<Option<bool>, Fault> {
        let Some(at) = self.at else {
            return Ok(None);
        };
        cell.clear();
        let rest = &self.line[at..];
        let Rows {
            delimiter, quote, ..
        } = *self.rows;
        let is_quoted = rest.as_bytes().first() == Some(&quote);
        let length = if is_quoted {
            let Some(closed) = closing(&rest.as_bytes()[1..], quote) else {
                return Err(Fault::mismatch("a quote is not closed"));
            };
            let one = char::from(quote);
            let two: String = [one, one].iter().collect();
            cell.push_str(&rest[1..=closed].replace(&two, &one.to_string()));
            closed + 2
        } else {
            let length = memchr(delimiter, rest.as_bytes()).unwrap_or(rest.len());
            cell.push_str(&rest[..length]);
            length
        };
        self.at = match rest.as_bytes().get(length) {
            None => None,
            Some(byte) if *byte == delimiter => Some(at + length + 1),
            Some(_) => return Err(Fault::mismatch("something follows a closing quote")),
        };
        Ok(Some(is_quoted))
    }
}
