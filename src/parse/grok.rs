//! `grok`: expressions of well-known patterns, `%{COMBINEDAPACHELOG}`, and of the user's own.

use std::collections::BTreeMap;

use super::fields::{Field, Type};
use super::lines::{self, Line, LineOutcome};
use super::matcher::{self, Matcher};
use super::port::{Fault, Parse, Parts};
use crate::config::{ParserKind, ParserSettings, ParserSpec, Table};

mod expand;
mod patterns;

use expand::{Expanded, GrokFault};

/// Patterns of the user's own.
const OWN_MAX: usize = 256;

/// `type = "grok"`.
#[derive(Debug)]
pub(super) struct GrokKind;

/// What the config says of it.
#[derive(Debug, PartialEq)]
struct Grok {
    matcher: Matcher,
    lines: bool,
}

impl ParserKind for GrokKind {
    fn word(&self) -> &'static str {
        "grok"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["pattern", "patterns", lines::KEY]
    }

    fn read(&self, table: &mut Table<'_>) -> Option<ParserSettings> {
        table.require("pattern", "name one: pattern = '%{COMBINEDAPACHELOG}'");
        let own = own(table);
        let lines = lines::read(table);
        let matcher = pattern(table, own.as_ref(), lines);
        let grok = Grok {
            matcher: matcher?,
            lines: lines?,
        };
        own?;
        Some(grok.into())
    }
}

/// The user's own patterns by their names.
fn own(table: &mut Table<'_>) -> Option<BTreeMap<String, String>> {
    let is_there = table.has("patterns");
    let place = table.place_of("patterns");
    let Some(patterns) = table.table("patterns") else {
        return (!is_there).then(BTreeMap::new);
    };
    let patterns = patterns.strings();
    if patterns.len() > OWN_MAX {
        let message = format!("`patterns` has more than {OWN_MAX}");
        table.fault(place, message, None);
        return None;
    }
    let pairs = patterns.into_iter().map(|(name, text)| (name, text.value));
    Some(pairs.collect())
}

fn pattern(
    table: &mut Table<'_>,
    own: Option<&BTreeMap<String, String>>,
    lines: Option<bool>,
) -> Option<Matcher> {
    let text = table.string("pattern")?;
    let expanded = match expand::expand(&text.value, own?) {
        Ok(expanded) => expanded,
        Err(GrokFault { pattern, help }) => {
            let message = format!("`pattern`: {}", pattern.message);
            table.fault(text.origin.place(pattern.at), message, help.as_deref());
            return None;
        }
    };
    let Expanded { regex, fields } = expanded;
    let regex = match matcher::compile(&regex, lines?) {
        Ok(regex) => regex,
        Err(fault) => {
            // Its place is one in what the pattern was expanded to.
            let message = format!("`pattern`, once it is expanded: {}", fault.message);
            let help = "what is between patterns has the syntax of Rust's `regex`: no look-around, no back-references";
            table.fault(text.origin.place(None), message, Some(help));
            return None;
        }
    };
    let number = |group: &str| regex.capture_names().position(|name| name == Some(group));
    let mut found: Vec<(Field, Vec<usize>)> = Vec::with_capacity(fields.len());
    for (field, groups) in &fields {
        let groups = groups.iter().filter_map(|group| number(group));
        found.push((field.clone(), groups.collect()));
    }
    // Groups that have names of the user's own are fields too.
    let ours = |name: &str| {
        fields
            .iter()
            .any(|(_, groups)| groups.iter().any(|group| group == name))
    };
    for (group, name) in regex.capture_names().enumerate() {
        let name = name.filter(|name| !ours(name));
        if let Some(name) = name.filter(|name| fields.iter().all(|(field, _)| field.name != *name))
        {
            found.push((Field::new(name, Type::Text), vec![group]));
        }
    }
    if found.is_empty() {
        let message = "`pattern` names no field".to_owned();
        let help = "a field is named behind a pattern: %{NUMBER:bytes:int}";
        table.fault(text.origin.place(None), message, Some(help));
        return None;
    }
    Some(Matcher::of(regex, found))
}

impl super::ParserEntry for GrokKind {
    fn parser<'s>(&self, settings: &'s ParserSettings) -> Option<&'s dyn Parse> {
        settings.get::<Grok>().map(|grok| grok as &dyn Parse)
    }
}

impl ParserSpec for Grok {
    fn word(&self) -> &'static str {
        GrokKind.word()
    }
}

impl Parse for Grok {
    fn parse(&self, record: &[u8], parts: &mut Parts<'_>) -> Result<(), Fault> {
        lines::parse(self, self.lines, record, parts)
    }
}

impl Line for Grok {
    fn line(&self, line: &str, out: &mut Vec<u8>) -> Result<LineOutcome, Fault> {
        self.matcher.line(line, out)
    }
}
