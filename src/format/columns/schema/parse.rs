//! Hive column syntax, the language of Glue and Athena tables, with faults that point.
//!
//! ```text
//! columns := column ((',' | newline) column)* [',']
//! column  := name type [COMMENT 'text']
//! type    := word ['(' number [',' number] ')'] | array<type> | map<type,type>
//!          | struct<name:type [COMMENT 'text'], …>
//! name    := letters, digits, '_', '-', '.', '$', '@' | '`' anything '`'
//! ```

use std::collections::HashSet;
use std::ops::Range;

use firehose_nearest::nearest;

use super::{DEPTH_MAX, Field, HiveType, document};
use crate::format::FormatFault;

/// Leaf columns at most: each costs buffers while an object is encoded.
pub(in crate::format::columns) const LEAVES_MAX: usize = 4096;

/// Every type word, for the nearest right one.
const WORDS: [&str; 18] = [
    "boolean",
    "tinyint",
    "smallint",
    "int",
    "integer",
    "bigint",
    "float",
    "double",
    "decimal",
    "string",
    "varchar",
    "char",
    "binary",
    "date",
    "timestamp",
    "array",
    "map",
    "struct",
];

/// Words of other systems and what Hive calls them.
const FOREIGN: [(&str, &str); 16] = [
    ("set", "array"),
    ("list", "array"),
    ("record", "struct"),
    ("object", "struct"),
    ("text", "string"),
    ("utf8", "string"),
    ("long", "bigint"),
    ("int8", "tinyint"),
    ("int16", "smallint"),
    ("int32", "int"),
    ("int64", "bigint"),
    ("real", "float"),
    ("number", "double"),
    ("numeric", "decimal"),
    ("bool", "boolean"),
    ("timestamptz", "timestamp"),
];

/// Parses a column list, or a [document] that has one. The fault names the first wrong bytes. `refused` says why there can
/// be no such name, if so.
pub(crate) fn parse(
    text: &str,
    refused: fn(&str) -> Option<String>,
) -> Result<Vec<Field>, FormatFault> {
    if document::is_document(text) {
        return document::parse(text, refused);
    }
    parse_columns(text, refused)
}

/// Parses a column list.
pub(super) fn parse_columns(
    text: &str,
    refused: fn(&str) -> Option<String>,
) -> Result<Vec<Field>, FormatFault> {
    let mut parser = SchemaParser {
        text,
        at: 0,
        refused,
    };
    let columns = parser.columns()?;
    let leaves: usize = columns.iter().map(|column| column.kind.leaves()).sum();
    if leaves > LEAVES_MAX {
        let message =
            format!("the schema has {leaves} leaf columns; at most {LEAVES_MAX} are allowed");
        return Err(FormatFault {
            at: Some(0..text.len()),
            message,
            help: None,
        });
    }
    Ok(columns)
}

pub(in crate::format::columns) fn is_name_char(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-' | '.' | '$' | '@')
}

struct SchemaParser<'a> {
    text: &'a str,
    at: usize,
    refused: fn(&str) -> Option<String>,
}

impl SchemaParser<'_> {
    fn columns(&mut self) -> Result<Vec<Field>, FormatFault> {
        let mut columns = Vec::new();
        let mut names = HashSet::new();
        self.space();
        while self.peek().is_some() {
            let start = self.at;
            let name = self.name("a column name")?;
            self.declare(&mut names, &name, start, "column")?;
            self.space();
            if self.peek() == Some(':') {
                self.at += 1; // `name: type`, as inside a struct, is as clear
            }
            let kind = self.kind(1)?;
            self.comment()?;
            columns.push(Field { name, kind });
            if !self.separator()? {
                break;
            }
        }
        if columns.is_empty() {
            return Err(self.fault(0..self.text.len(), "the schema names no column".to_owned()));
        }
        Ok(columns)
    }

    /// Steps over what stands between two columns; false at the end of the text.
    fn separator(&mut self) -> Result<bool, FormatFault> {
        let new_line = self.space();
        match self.peek() {
            None => Ok(false),
            Some(',') => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            Some(_) if new_line => Ok(true),
            Some(_) => Err(self.fault(
                self.token(),
                format!("expected `,` or the end, found {}", self.found()),
            )),
        }
    }

    fn kind(&mut self, depth: usize) -> Result<HiveType, FormatFault> {
        self.space();
        let start = self.at;
        self.pass_word();
        let span = start..self.at;
        if depth > DEPTH_MAX {
            return Err(self.fault(
                span,
                format!("types are nested deeper than {DEPTH_MAX} levels"),
            ));
        }
        let word = self.text[span.clone()].to_ascii_lowercase();
        Ok(match word.as_str() {
            "boolean" => HiveType::Boolean,
            "tinyint" => HiveType::TinyInt,
            "smallint" => HiveType::SmallInt,
            "int" | "integer" => HiveType::Int,
            "bigint" => HiveType::BigInt,
            "float" => HiveType::Float,
            "double" => HiveType::Double,
            "decimal" => self.decimal()?,
            "string" => HiveType::String,
            "varchar" => HiveType::Varchar(self.length(&span, "varchar", 65_535)?),
            "char" => HiveType::Char(self.length(&span, "char", 255)?),
            "binary" => HiveType::Binary,
            "date" => HiveType::Date,
            "timestamp" => HiveType::Timestamp,
            "array" => {
                self.expect('<', "after `array`")?;
                let item = self.kind(depth + 1)?;
                self.expect('>', "after the type of the items")?;
                HiveType::Array(Box::new(item))
            }
            "map" => self.map(depth)?,
            "struct" => self.fields(depth)?,
            _ => return Err(self.unknown(span, &word)),
        })
    }

    fn map(&mut self, depth: usize) -> Result<HiveType, FormatFault> {
        self.expect('<', "after `map`")?;
        self.space();
        let start = self.at;
        let key = self.kind(depth + 1)?;
        if !key.is_primitive() {
            let message = "a map's key must be a primitive type, such as `string`".to_owned();
            return Err(self.fault(start..self.at, message));
        }
        self.expect(',', "between the types of key and value")?;
        let value = self.kind(depth + 1)?;
        self.expect('>', "after the type of the values")?;
        Ok(HiveType::Map(Box::new(key), Box::new(value)))
    }

    fn fields(&mut self, depth: usize) -> Result<HiveType, FormatFault> {
        self.expect('<', "after `struct`")?;
        let mut fields = Vec::new();
        let mut names = HashSet::new();
        loop {
            self.space();
            let start = self.at;
            let name = self.name("a field name")?;
            self.declare(&mut names, &name, start, "field")?;
            self.expect(':', "after the field's name")?;
            let kind = self.kind(depth + 1)?;
            self.comment()?;
            fields.push(Field { name, kind });
            self.space();
            if self.peek() == Some(',') {
                self.at += 1;
                continue;
            }
            self.expect('>', "or `,` after the field's type")?;
            return Ok(HiveType::Struct(fields));
        }
    }

    /// `(precision[,scale])`; Hive's `decimal` alone is `decimal(10,0)`.
    fn decimal(&mut self) -> Result<HiveType, FormatFault> {
        self.space();
        if self.peek() != Some('(') {
            return Ok(HiveType::Decimal {
                precision: 10,
                scale: 0,
            });
        }
        self.at += 1;
        let (precision, at) = self.number()?;
        if !(1..=38).contains(&precision) {
            return Err(self.fault(at, "a decimal's precision is 1 to 38 digits".to_owned()));
        }
        self.space();
        let mut scale = 0;
        if self.peek() == Some(',') {
            self.at += 1;
            let (digits, at) = self.number()?;
            if digits > precision {
                let message = format!("a decimal's scale is 0 to its precision, here {precision}");
                return Err(self.fault(at, message));
            }
            scale = digits;
        }
        self.expect(')', "after the decimal's digits")?;
        let digits = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
        Ok(HiveType::Decimal {
            precision: digits(precision),
            scale: digits(scale),
        })
    }

    fn length(&mut self, word: &Range<usize>, name: &str, max: u32) -> Result<u32, FormatFault> {
        self.space();
        if self.peek() != Some('(') {
            let message = format!("`{name}` needs a length: `{name}(n)`");
            return Err(self.fault(word.clone(), message));
        }
        self.at += 1;
        let (length, at) = self.number()?;
        if !(1..=max).contains(&length) {
            return Err(self.fault(at, format!("a {name}'s length is 1 to {max} characters")));
        }
        self.expect(')', "after the length")?;
        Ok(length)
    }

    fn number(&mut self) -> Result<(u32, Range<usize>), FormatFault> {
        self.space();
        let start = self.at;
        self.at += self.text[start..]
            .bytes()
            .take_while(u8::is_ascii_digit)
            .count();
        if start == self.at {
            return Err(self.fault(
                self.token(),
                format!("expected a number, found {}", self.found()),
            ));
        }
        // Too many digits are too large for every bound.
        Ok((
            self.text[start..self.at].parse().unwrap_or(u32::MAX),
            start..self.at,
        ))
    }

    /// Goes past a run of characters that names and types are made of.
    fn pass_word(&mut self) {
        let rest = &self.text[self.at..];
        let end = rest.find(|c| !is_name_char(c)).unwrap_or(rest.len());
        self.at += end;
    }

    fn name(&mut self, what: &str) -> Result<String, FormatFault> {
        let start = self.at;
        if self.peek() == Some('`') {
            return self.quoted(what);
        }
        self.pass_word();
        if self.at == start {
            return Err(self.fault(
                self.token(),
                format!("expected {what}, found {}", self.found()),
            ));
        }
        Ok(self.text[start..self.at].to_owned())
    }

    fn quoted(&mut self, what: &str) -> Result<String, FormatFault> {
        let start = self.at;
        self.at += 1;
        let mut name = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(end) = rest.find('`') else {
                return Err(self.fault(
                    start..self.text.len(),
                    "this backquote is never closed".to_owned(),
                ));
            };
            name.push_str(&rest[..end]);
            self.at += end + 1;
            if self.peek() != Some('`') {
                break;
            }
            name.push('`'); // two of them are one inside a name
            self.at += 1;
        }
        if name.is_empty() {
            return Err(self.fault(
                start..self.at,
                format!("expected {what} between the backquotes"),
            ));
        }
        Ok(name)
    }

    /// `COMMENT 'text'` carries no meaning here.
    fn comment(&mut self) -> Result<(), FormatFault> {
        let before = self.at;
        self.space();
        let is_comment = self.text.as_bytes()[self.at..]
            .get(..7)
            .is_some_and(|word| word.eq_ignore_ascii_case(b"comment"));
        let after = self.at + 7;
        let quote = is_comment
            .then(|| self.text[after..].trim_start())
            .and_then(|rest| rest.chars().next());
        let Some(quote @ ('\'' | '"')) = quote else {
            self.at = before; // a column may be called `comment`
            return Ok(());
        };
        self.at = after;
        self.space();
        let start = self.at;
        let mut escaped = false;
        for (index, character) in self.text[start + 1..].char_indices() {
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if character == quote => {
                    self.at = start + 1 + index + 1;
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(self.fault(
            start..self.text.len(),
            "this comment is never closed".to_owned(),
        ))
    }

    /// Takes the name that begins at `start`, if there can be one, and no other is the same.
    fn declare(
        &self,
        names: &mut HashSet<String>,
        name: &str,
        start: usize,
        what: &str,
    ) -> Result<(), FormatFault> {
        if !names.insert(name.to_ascii_lowercase()) {
            let message =
                format!("the {what} `{name}` is declared twice (case does not tell names apart)");
            return Err(self.fault(start..self.at, message));
        }
        match (self.refused)(name) {
            Some(why) => Err(self.fault(start..self.at, format!("the {what} `{name}` {why}"))),
            None => Ok(()),
        }
    }

    fn expect(&mut self, wanted: char, place: &str) -> Result<(), FormatFault> {
        self.space();
        if self.peek() == Some(wanted) {
            self.at += wanted.len_utf8();
            return Ok(());
        }
        let message = format!("expected `{wanted}` {place}, found {}", self.found());
        Err(self.fault(self.token(), message))
    }

    fn unknown(&self, span: Range<usize>, word: &str) -> FormatFault {
        if word.is_empty() {
            return self.fault(
                self.token(),
                format!("expected a type, found {}", self.found()),
            );
        }
        let right = FOREIGN
            .iter()
            .find(|(foreign, _)| *foreign == word)
            .map(|(_, hive)| *hive)
            .or_else(|| nearest(word, WORDS));
        FormatFault {
            at: Some(span),
            message: format!("unknown type `{word}`; the types are {}", WORDS.join(", ")),
            help: right.map(|right| format!("did you mean `{right}`?")),
        }
    }

    /// Steps over white space; true if it held a line end.
    fn space(&mut self) -> bool {
        let rest = &self.text[self.at..];
        let length = rest.len() - rest.trim_start().len();
        self.at += length;
        rest[..length].contains('\n')
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn found(&self) -> String {
        self.peek().map_or_else(
            || "the end".to_owned(),
            |character| format!("`{character}`"),
        )
    }

    /// The next character, for a fault to point at.
    fn token(&self) -> Range<usize> {
        self.at..self.at + self.peek().map_or(0, char::len_utf8)
    }

    #[expect(clippy::unused_self, reason = "reads as the parser's verdict")]
    fn fault(&self, at: Range<usize>, message: String) -> FormatFault {
        FormatFault {
            at: Some(at),
            message,
            help: None,
        }
    }
}

#[cfg(test)]
mod tests;
