//! A grok expression as one regular expression: each `%{NAME:field:type}` by what its name stands for.

use std::collections::BTreeMap;
use std::ops::Range;

use super::patterns::{self, PATTERNS};
use crate::config::choose;
use crate::parse::fields::{Field, TYPES, Type};
use crate::parse::matcher::{PATTERN_MAX, RegexFault};

/// So many patterns may stand inside each other.
const DEPTH_MAX: usize = 32;
/// Bytes of a field's name.
const NAME_MAX: usize = 128;

/// An expression that was expanded.
#[derive(Debug, Default)]
pub(super) struct Expanded {
    pub(super) regex: String,
    /// The fields, each with the names of the groups that may hold it.
    pub(super) fields: Vec<(Field, Vec<String>)>,
}

/// What is wrong with an expression, and what may help.
#[derive(Debug)]
pub(super) struct GrokFault {
    pub(super) pattern: RegexFault,
    pub(super) help: Option<String>,
}

/// Expands an expression; `own` are the user's patterns by their names, and come first.
pub(super) fn expand(pattern: &str, own: &BTreeMap<String, String>) -> Result<Expanded, GrokFault> {
    let mut expanded = Expanded::default();
    expanded.append(pattern, own, 0)?;
    Ok(expanded)
}

impl Expanded {
    fn append(
        &mut self,
        pattern: &str,
        own: &BTreeMap<String, String>,
        depth: usize,
    ) -> Result<(), GrokFault> {
        let mut at = 0;
        while let Some(begin) = pattern[at..].find("%{").map(|begin| at + begin) {
            self.regex.push_str(&pattern[at..begin]);
            let Some(length) = pattern[begin..].find('}') else {
                return Err(fault(begin..pattern.len(), "`%{` is not closed".to_owned()));
            };
            let place = begin..begin + length + 1;
            let inner = &pattern[begin + 2..begin + length];
            // A fault in a pattern is told where the expression names it.
            let told = |mut fault: GrokFault| {
                fault.pattern.at = Some(place.clone());
                fault
            };
            self.reference(inner, own, depth).map_err(told)?;
            at = place.end;
        }
        self.regex.push_str(&pattern[at..]);
        if self.regex.len() > 4 * PATTERN_MAX {
            let message = "the pattern comes to too much when it is expanded";
            return Err(fault(0..pattern.len(), message.to_owned()));
        }
        Ok(())
    }

    /// Appends what stands for `NAME`, `NAME:field` or `NAME:field:type`.
    fn reference(
        &mut self,
        inner: &str,
        own: &BTreeMap<String, String>,
        depth: usize,
    ) -> Result<(), GrokFault> {
        let nowhere = 0..0;
        let mut parts = inner.split(':');
        let name = parts.next().unwrap_or_default();
        let (field, kind) = (parts.next(), parts.next());
        let known = own.get(name).map(String::as_str);
        let Some(pattern) = known.or_else(|| patterns::pattern(name)) else {
            let own = own.keys().map(String::as_str);
            let names: Vec<&str> = PATTERNS.iter().map(|(name, _)| *name).chain(own).collect();
            let mut fault = fault(nowhere, format!("unknown pattern \"{name}\""));
            fault.help = Some(choose(name, &names, '"'));
            return Err(fault);
        };
        if parts.next().is_some() {
            let message = format!("`%{{{inner}}}` has too many parts");
            return Err(fault(nowhere, message));
        }
        if depth == DEPTH_MAX {
            let message = format!("\"{name}\" stands inside itself, or more than {DEPTH_MAX} deep");
            return Err(fault(nowhere, message));
        }
        let kind = kind.map_or(Ok(Type::Text), type_of)?;
        if let Some(field) = field {
            let group = self.group(field, kind)?;
            self.regex.push_str("(?P<");
            self.regex.push_str(&group);
            self.regex.push('>');
        } else {
            self.regex.push_str("(?:");
        }
        self.append(pattern, own, depth + 1)?;
        self.regex.push(')');
        Ok(())
    }

    /// A name for the group of a field. A field that stands twice is what matches first.
    fn group(&mut self, name: &str, kind: Type) -> Result<String, GrokFault> {
        let is_allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@');
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(is_allowed) {
            let message = format!("\"{name}\" cannot be the name of a field");
            let mut fault = fault(0..0, message);
            fault.help = Some("a name has letters, digits, `_`, `-`, `.` and `@`".to_owned());
            return Err(fault);
        }
        let groups: usize = self.fields.iter().map(|(_, groups)| groups.len()).sum();
        let group = format!("_{groups}");
        let mut fields = self.fields.iter_mut();
        if let Some((field, groups)) = fields.find(|(field, _)| field.name == name) {
            if field.kind != kind {
                let (one, other) = (field.kind.word(), kind.word());
                let message = format!("the field \"{name}\" is of type {one} and of type {other}");
                let mut fault = fault(0..0, message);
                fault.help = Some("give all of one name the same type".to_owned());
                return Err(fault);
            }
            groups.push(group.clone());
        } else {
            let groups = vec![group.clone()];
            self.fields.push((Field::new(name, kind), groups));
        }
        Ok(group)
    }
}

/// The type of that word.
fn type_of(word: &str) -> Result<Type, GrokFault> {
    if let Some((_, kind)) = TYPES.iter().find(|(known, _)| *known == word) {
        return Ok(*kind);
    }
    let words = TYPES.map(|(word, _)| word);
    let mut fault = fault(0..0, format!("unknown type \"{word}\""));
    fault.help = Some(choose(word, &words, '"'));
    Err(fault)
}

fn fault(at: Range<usize>, message: String) -> GrokFault {
    GrokFault {
        pattern: RegexFault {
            at: Some(at),
            message,
        },
        help: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::matcher::compile;

    #[test]
    fn each_well_known_pattern_compiles() {
        for (name, _) in PATTERNS {
            let expanded = expand(&format!("%{{{name}}}"), &BTreeMap::new()).unwrap();
            let compiled = compile(&expanded.regex, true);
            assert!(compiled.is_ok(), "{name}: {compiled:?}");
        }
    }

    #[test]
    fn an_address_is_found_whole_or_not_at_all() {
        let expanded = expand("%{IP}", &BTreeMap::new()).unwrap();
        let regex = compile(&expanded.regex, true).unwrap();
        for (text, found) in [
            ("from 10.0.0.1.", Some("10.0.0.1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("(::ffff:10.0.0.1)", Some("::ffff:10.0.0.1")),
            ("at 10:00:00 from ::1", Some("::1")),
            ("256.1.1.1", None),
            ("1.1.1.1234", None),
            ("at 10:00:00.123", None),
            ("card 00:1b:44:11:3a:b7", None),
            ("std::dead::beefy", None),
        ] {
            let found_there = regex.find(text).map(|found| found.as_str());
            assert_eq!(found_there, found, "{text}");
        }
    }

    #[test]
    fn each_well_known_pattern_matches_what_it_is_for_and_nothing_near_it() {
        for (name, takes, refuses) in [
            ("NUMBER", &["1", "-1.5", "+.5"][..], &["1.", "a", "1e5"][..]),
            ("BASE16NUM", &["0xfF", "12"], &["0xg"]),
            (
                "IP",
                &[
                    "10.0.0.1",
                    "::1",
                    "::",
                    "fe80::",
                    "fe80::1%eth0",
                    "2001:db8::8d6e:3477",
                    "2001:DB8:1:2:3:4:5:6",
                    "1:2:3:4:5:6:7::",
                    "::2:3:4:5:6:7:8",
                    "::ffff:10.0.0.1",
                    "64:ff9b::10.0.0.1",
                    "1:2:3:4:5:6:10.0.0.1",
                ],
                &[
                    "10.0.0",
                    "256.1.1.1",
                    "a",
                    "10:00:00",
                    "00:1b:44:11:3a:b7",
                    "1:2:3:4:5:6:7",
                    "1:2:3:4:5:6:7:8:9",
                    "1:2:3:4:5:6:7::8",
                    "1::2::3",
                    "1:2:3:4:5:6:7:10.0.0.1",
                    "12345::",
                    ":",
                ],
            ),
            ("IPORHOST", &["a.example.com", "10.0.0.1"], &["a b", "-a"]),
            ("HOSTPORT", &["a:80", "10.0.0.1:8080"], &["a:0", "a"]),
            (
                "UUID",
                &["123e4567-e89b-12d3-a456-426614174000"],
                &["123e4567-e89b-12d3-a456-42661417400"],
            ),
            (
                "MAC",
                &["00:1b:44:11:3a:b7", "001b.4411.3ab7"],
                &["00:1b:44:11:3a"],
            ),
            ("QS", &["\"a \\\" b\"", "'a'"], &["\"a", "a"]),
            ("EMAILADDRESS", &["a.b+c@example.com"], &["a@", "@b"]),
            (
                "TIMESTAMP_ISO8601",
                &[
                    "2026-11-30T10:00:00.123Z",
                    "2026-11-30 10:00",
                    "2026-11-30T10:00:00+0100",
                ],
                &["2026-13-30T10:00:00", "2026-11-30"],
            ),
            (
                "HTTPDATE",
                &["10/Oct/2000:13:55:36 -0700"],
                &["10/Okt/2000:13:55:36 -0700"],
            ),
            (
                "SYSLOGTIMESTAMP",
                &["Nov  3 07:08:09", "Nov 30 10:00:00"],
                &["Nov 30"],
            ),
            (
                "URI",
                &["https://u:p@example.com:8443/a/b?c=d&e", "ftp://h"],
                &["example.com"],
            ),
            ("URIPATHPARAM", &["/a/b?c=[d]"], &["a"]),
            ("PATH", &["/var/log/a.log", "C:\\a\\b"], &["var"]),
            ("LOGLEVEL", &["INFO", "warning", "Error"], &["loud"]),
            ("DATE", &["11/30/2026", "30.11.26"], &["2026-11-30"]),
            ("TIME", &["10:00:00", "1:02:03,5"], &["10:00", "25:00:00"]),
            (
                "DATESTAMP_RFC2822",
                &["Mon, 30 Nov 2026 10:00:00 +0100"],
                &["Mon 30 Nov 2026"],
            ),
        ] {
            let expanded = expand(&format!("%{{{name}}}"), &BTreeMap::new()).unwrap();
            let regex = compile(&format!("^(?:{})$", expanded.regex), true).unwrap();
            for text in takes {
                assert!(regex.is_match(text), "{name}: {text}");
            }
            for text in refuses {
                assert!(!regex.is_match(text), "{name}: {text}");
            }
        }
    }
}
