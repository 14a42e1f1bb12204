//! A cursor over one table of the file: typed reads that collect faults, and at the end the keys
//! that nobody asked for.

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, SourceFile, SourceSpan};
use super::quantity::{self, QuantityFault, display_duration, display_size};
use super::registry::Registry;
use super::text::{self, Text};
use super::words;

mod fraction;
mod known;
mod list;

/// What all tables of one file share.
pub(super) struct FileContext<'f> {
    pub(super) source: Arc<SourceFile>,
    pub(super) env: &'f dyn Fn(&str) -> Option<String>,
    pub(super) registry: &'f Registry,
    pub(super) found: RefCell<Vec<Diagnostic>>,
}

impl FileContext<'_> {
    pub(super) fn place(&self, at: Range<usize>) -> SourceSpan {
        SourceSpan {
            source: Arc::clone(&self.source),
            at,
        }
    }

    pub(super) fn report(&self, diagnostic: Diagnostic) {
        self.found.borrow_mut().push(diagnostic);
    }

    pub(super) fn fault(
        &self,
        at: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.report(Diagnostic::fault(self.place(at), message).help(help));
    }

    /// A string with its variables expanded; `None` when one of them has a fault.
    pub(super) fn expand(&self, decoded: &str, at: Range<usize>) -> Option<Text> {
        let (text, faults) = text::read(decoded, at, &self.source, self.env);
        let clean = faults.is_empty();
        self.found.borrow_mut().extend(faults);
        clean.then_some(text)
    }
}

/// A value and where it stands.
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Its bytes in the file.
    pub at: Range<usize>,
}

/// One table; every key that is asked for is a known key. What has a fault is reported where it stands, and reads as
/// `None`. What stands behind a port reads its keys by these methods, whichever port it is: [`StoreTable`] and
/// [`FormatTable`] are the table, and know something beside.
///
/// [`StoreTable`]: super::StoreTable
/// [`FormatTable`]: super::FormatTable
pub struct Table<'f> {
    pub(super) file: &'f FileContext<'f>,
    /// As in a header: `stream.clicks.source`; empty at the top level.
    path: String,
    /// Whether it is one of an array of tables, with double brackets in its header.
    is_element: bool,
    /// The header, or the key of an inline table.
    at: Range<usize>,
    entries: &'f DeTable<'f>,
    asked: Vec<&'static str>,
    /// Keys that are not reported again, nor listed as allowed.
    silent: Vec<&'static str>,
    elsewhere: Vec<(&'static [&'static str], Cow<'static, str>)>,
}

type TableEntry<'f> = (Range<usize>, &'f Spanned<DeValue<'f>>);

impl<'f> Table<'f> {
    /// The top level of a file.
    pub(super) fn root(file: &'f FileContext<'f>, entries: &'f DeTable<'f>) -> Self {
        Self {
            file,
            path: String::new(),
            is_element: false,
            at: 0..0,
            entries,
            asked: vec![],
            silent: vec![],
            elsewhere: vec![],
        }
    }

    /// Where a key stands, for messages: `in [stream.clicks]`.
    pub fn here(&self) -> String {
        match self.path.as_str() {
            "" => "at the top level".to_owned(),
            path => format!("in {}", header(path, self.is_element)),
        }
    }

    /// Where the table begins.
    pub fn place(&self) -> SourceSpan {
        self.file.place(self.at.clone())
    }

    /// Says what is wrong.
    pub fn report(&self, diagnostic: Diagnostic) {
        self.file.report(diagnostic);
    }

    /// Reports a fault.
    pub fn fault(&self, place: SourceSpan, message: String, help: Option<&str>) {
        self.report(helped(Diagnostic::fault(place, message), help));
    }

    /// Reports what is doubtful.
    pub fn doubt(&self, place: SourceSpan, message: String, help: Option<&str>) {
        self.report(helped(Diagnostic::warning(place, message), help));
    }

    fn entry(&mut self, key: &'static str) -> Option<TableEntry<'f>> {
        self.asked.push(key);
        self.entries
            .get_key_value(key)
            .map(|(key, value)| (key.span(), value))
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let found = value.get_ref().type_str();
        let message = format!("`{key}` is {} {found}, expected {expected}", article(found));
        let fault = Diagnostic::fault(self.file.place(value.span()), message);
        self.file.report(match value.get_ref() {
            DeValue::Integer(number) if expected == "a string" => {
                fault.help(format!("write {key} = \"{number}\""))
            }
            _ => fault,
        });
    }

    /// Says that a required key is missing.
    pub fn missing(&self, key: &str, help: &str) {
        let message = format!("`{key}` is missing {}", self.here());
        self.file
            .report(Diagnostic::fault(self.place(), message).help(help));
    }

    /// Says that a key is missing, unless it is there. `help` tells what to write.
    pub fn require(&self, key: &str, help: &str) {
        if !self.has(key) {
            self.missing(key, help);
        }
    }

    /// Whether the key is there; it does not become a known key.
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The value's place; for faults between keys.
    pub fn place_of(&self, key: &str) -> SourceSpan {
        let at = self
            .entries
            .get(key)
            .map_or_else(|| self.at.clone(), Spanned::span);
        self.file.place(at)
    }

    /// A string.
    pub fn string(&mut self, key: &'static str) -> Option<Text> {
        let (_, value) = self.entry(key)?;
        let DeValue::String(decoded) = value.get_ref() else {
            self.wrong_type(key, value, "a string");
            return None;
        };
        self.file.expand(decoded, value.span())
    }

    /// A string that must hold something and no control characters, at most `max` bytes.
    pub fn name_text(&mut self, key: &'static str, max: usize) -> Option<String> {
        let text = self.string(key)?;
        let fault = if text.value.is_empty() {
            format!("`{key}` is empty")
        } else if text.value.contains(char::is_control) {
            format!("`{key}` holds a control character")
        } else if text.value.len() > max {
            format!("`{key}` is longer than {max} bytes")
        } else {
            return Some(text.value);
        };
        self.file
            .report(Diagnostic::fault(text.origin.place(None), fault));
        None
    }

    /// A string that names one of `choices`.
    pub fn word<T: Clone>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<Located<T>> {
        let text = self.string(key)?;
        let place = text.origin.place(None);
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text.value) {
            return Some(Located {
                value: choice.clone(),
                at: place.at,
            });
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let message = format!(
            "unknown word \"{}\" for `{key}` {}",
            text.value,
            self.here()
        );
        let help = words::choose(&text.value, &words, '"');
        self.file
            .report(Diagnostic::fault(place, message).help(help));
        None
    }

    /// A string that names one of `choices`, or `default` when the key is not there.
    pub fn word_or<T: Clone>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
        default: T,
    ) -> Option<T> {
        let present = self.has(key);
        let found = self.word(key, choices).map(|found| found.value);
        if present { found } else { Some(default) }
    }

    /// A boolean.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let (_, value) = self.entry(key)?;
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wrong_type(key, value, "true or false");
        }
        found
    }

    /// A whole number.
    pub fn integer(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<u64>,
    ) -> Option<Located<u64>> {
        let (_, value) = self.entry(key)?;
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong_type(key, value, "a whole number");
            return None;
        };
        let number = u64::from_str_radix(number.as_str(), number.radix()).ok();
        let number = number.filter(|number| bounds.contains(number));
        if number.is_none() {
            let message = format!("`{key}` is out of bounds");
            let help = format!("allowed: {} to {}", bounds.start(), bounds.end());
            self.file.fault(value.span(), message, help);
        }
        number.map(|number| Located {
            value: number,
            at: value.span(),
        })
    }

    /// A number of bytes.
    pub fn size(&mut self, key: &'static str, bounds: RangeInclusive<u64>) -> Option<Located<u64>> {
        let (_, value) = self.entry(key)?;
        let (written, at) = match value.get_ref() {
            DeValue::Integer(number) => (number.to_string(), value.span()),
            _ => self.quantity_text(key, value, "a size such as \"128MiB\"")?,
        };
        self.bounded(key, at, quantity::size(&written), bounds, |size| {
            display_size(*size)
        })
    }

    /// A duration.
    pub fn duration(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<Duration>,
    ) -> Option<Located<Duration>> {
        let (_, value) = self.entry(key)?;
        let (written, at) = match value.get_ref() {
            DeValue::Integer(number) => (number.to_string(), value.span()),
            _ => self.quantity_text(key, value, "a duration such as \"900s\"")?,
        };
        let duration = quantity::duration(&written);
        self.bounded(key, at, duration, bounds, |duration| {
            display_duration(*duration)
        })
    }

    fn quantity_text(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        expected: &str,
    ) -> Option<(String, Range<usize>)> {
        let DeValue::String(decoded) = value.get_ref() else {
            self.wrong_type(key, value, expected);
            return None;
        };
        let text = self.file.expand(decoded, value.span())?;
        Some((text.value, value.span()))
    }

    fn bounded<T: PartialOrd>(
        &self,
        key: &str,
        at: Range<usize>,
        value: Result<T, QuantityFault>,
        bounds: RangeInclusive<T>,
        display: impl Fn(&T) -> String,
    ) -> Option<Located<T>> {
        match value {
            Ok(value) if bounds.contains(&value) => return Some(Located { value, at }),
            Ok(value) => {
                let side = if value < *bounds.start() {
                    "small"
                } else {
                    "large"
                };
                let message = format!("`{key}` is too {side}: {}", display(&value));
                let help = format!(
                    "allowed: \"{}\" to \"{}\"",
                    display(bounds.start()),
                    display(bounds.end())
                );
                self.file.fault(at, message, help);
            }
            Err(QuantityFault { message, help }) => self.file.fault(at, message, help),
        }
        None
    }

    /// An address and port to listen on.
    pub fn address(&mut self, key: &'static str) -> Option<SocketAddr> {
        let text = self.string(key)?;
        let address = text.value.parse().ok();
        if address.is_none() {
            let message = format!("\"{}\" is not an address with a port", text.value);
            let help = "write an IP address and a port, such as \"127.0.0.1:4585\", \
                        \"0.0.0.0:4585\" or \"[::]:4585\"";
            self.file
                .report(Diagnostic::fault(text.origin.place(None), message).help(help));
        }
        address
    }

    /// A table in this one; who has read it ends it with [`Table::finish`].
    pub fn table(&mut self, key: &'static str) -> Option<Table<'f>> {
        let (at, value) = self.entry(key)?;
        self.open(key, at, value, false)
    }

    /// The tables of an array of tables in this one; end each with [`Self::finish`].
    pub fn elements(&mut self, key: &'static str) -> Vec<Table<'f>> {
        let Some((at, value)) = self.entry(key) else {
            return vec![];
        };
        let DeValue::Array(elements) = value.get_ref() else {
            let at = if value.span().is_empty() {
                at
            } else {
                value.span()
            };
            let found = value.get_ref().type_str();
            let message = format!(
                "`{key}` is {} {found}, expected an array of tables",
                article(found)
            );
            let header = header(&self.path_of(key), true);
            let help = format!("write a header in double brackets for each: {header}");
            self.file.fault(at, message, help);
            return vec![];
        };
        let open = |element| self.open(key, at.clone(), element, true);
        elements.iter().filter_map(open).collect()
    }

    /// The path of a table in this one.
    fn path_of(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            parent => format!("{parent}.{key}"),
        }
    }

    fn open(
        &self,
        key: &str,
        at: Range<usize>,
        value: &'f Spanned<DeValue<'f>>,
        is_element: bool,
    ) -> Option<Self> {
        let path = self.path_of(key);
        let DeValue::Table(entries) = value.get_ref() else {
            let found = value.get_ref().type_str();
            let message = format!("`{key}` is {} {found}, expected a table", article(found));
            let help = format!("write a header: {}", header(&path, is_element));
            self.file.fault(value.span(), message, help);
            return None;
        };
        let at = if value.span().is_empty() {
            at
        } else {
            value.span()
        };
        Some(Self {
            file: self.file,
            path,
            is_element,
            at,
            entries,
            asked: vec![],
            silent: vec![],
            elsewhere: vec![],
        })
    }

    /// All tables in this one, with their names: its keys are the user's own.
    pub(super) fn tables(self) -> impl Iterator<Item = (&'f str, SourceSpan, Option<Table<'f>>)> {
        self.entries.iter().map(move |(key, value)| {
            let name: &'f str = key.get_ref();
            (
                name,
                self.file.place(key.span()),
                self.open(name, key.span(), value, false),
            )
        })
    }

    /// The table as it is: its keys and values are the user's own.
    pub(super) fn into_entries(self) -> &'f DeTable<'f> {
        self.entries
    }

    /// All strings in this one, with their names: its keys are the user's own.
    pub fn strings(self) -> Vec<(String, Text)> {
        let entries = self.entries_of_text().into_iter();
        entries.map(|(name, _, text)| (name, text)).collect()
    }
}

fn helped(found: Diagnostic, help: Option<&str>) -> Diagnostic {
    match help {
        Some(help) => found.help(help),
        None => found,
    }
}

/// A table's header as it is written.
fn header(path: &str, is_element: bool) -> String {
    if is_element {
        format!("[[{path}]]")
    } else {
        format!("[{path}]")
    }
}

/// The indefinite article of a TOML type's name.
fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}
