//! `regex`: a pattern whose named groups are fields.

use super::fields::{Field, Type};
use super::lines::{self, Line, LineOutcome};
use super::matcher::{self, Matcher};
use super::port::{Fault, Parse, Parts};
use crate::config::{ParserKind, ParserSettings, ParserSpec, Table, choose};

/// `type = "regex"`.
#[derive(Debug)]
pub(super) struct RegexKind;

/// What the config says of it.
#[derive(Debug, PartialEq)]
struct RegexPattern {
    matcher: Matcher,
    lines: bool,
}

impl ParserKind for RegexKind {
    fn word(&self) -> &'static str {
        "regex"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["pattern", "types", lines::KEY]
    }

    fn read(&self, table: &mut Table<'_>) -> Option<ParserSettings> {
        table.require(
            "pattern",
            "name the fields by groups: pattern = '^(?<level>\\w+) (?<message>.*)'",
        );
        let types = Field::read_all(table, "types");
        let lines = lines::read(table);
        let matcher = pattern(table, types.as_deref(), lines);
        let pattern = RegexPattern {
            matcher: matcher?,
            lines: lines?,
        };
        types?;
        Some(pattern.into())
    }
}

/// Reads the pattern, whose named groups are texts where `types` says nothing else.
fn pattern(table: &mut Table<'_>, types: Option<&[Field]>, lines: Option<bool>) -> Option<Matcher> {
    let text = table.string("pattern")?;
    let regex = match matcher::compile(&text.value, lines?) {
        Ok(regex) => regex,
        Err(fault) => {
            let help = "the syntax is that of Rust's `regex`: no look-around, no back-references";
            let message = format!("`pattern`: {}", fault.message);
            table.fault(text.origin.place(fault.at), message, Some(help));
            return None;
        }
    };
    let names: Vec<_> = regex.capture_names().flatten().map(str::to_owned).collect();
    if names.is_empty() {
        let help = "a field is a group with a name: (?<status>\\d+)";
        let message = "`pattern` has no named group".to_owned();
        table.fault(text.origin.place(None), message, Some(help));
        return None;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let types = types.unwrap_or_default();
    for Field { name, .. } in types {
        if !names.contains(&name.as_str()) {
            let message = format!("`types` names `{name}`, which is no group of the pattern");
            let place = table.place_of("types");
            table.fault(place, message, Some(&choose(name, &names, '`')));
            return None;
        }
    }
    let groups = regex.capture_names().enumerate();
    let fields = groups.filter_map(|(group, name)| {
        let name = name?;
        let typed = types.iter().find(|field| field.name == name);
        let field = typed.cloned();
        Some((
            field.unwrap_or_else(|| Field::new(name, Type::Text)),
            vec![group],
        ))
    });
    let fields = fields.collect();
    Some(Matcher::of(regex, fields))
}

impl super::ParserEntry for RegexKind {
    fn parser<'s>(&self, settings: &'s ParserSettings) -> Option<&'s dyn Parse> {
        settings
            .get::<RegexPattern>()
            .map(|pattern| pattern as &dyn Parse)
    }
}

impl ParserSpec for RegexPattern {
    fn word(&self) -> &'static str {
        RegexKind.word()
    }
}

impl Parse for RegexPattern {
    fn parse(&self, record: &[u8], parts: &mut Parts<'_>) -> Result<(), Fault> {
        lines::parse(self, self.lines, record, parts)
    }
}

impl Line for RegexPattern {
    fn line(&self, line: &str, out: &mut Vec<u8>) -> Result<LineOutcome, Fault> {
        self.matcher.line(line, out)
    }
}
