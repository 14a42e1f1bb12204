//! What a prefix is to a catalogue of tables: the place that all objects share, and below it the partitions.
//!
//! A value of a partition stands where an expression stands. In a segment `name=!{…}` it is called so, as Hive has it;
//! elsewhere after its key, or `dt` for a time. Times of one clock with nothing between them that names another are one
//! value: `!{timestamp:yyyy}/!{timestamp:MM}/` is the time `yyyy/MM`. What follows the last slash is a part of objects'
//! names, and no partition.

use std::fmt::Write as _;

use super::expression::{self, PrefixPart, SpannedPart};
use super::fault::PartitionSetting;

/// Where objects lie under a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixLayout {
    /// What all keys begin with: empty, or up to a slash.
    pub head: String,
    /// What follows the head up to the last slash, with `${name}` for the values.
    pub template: String,
    /// The values, in order; no two have one name.
    pub partitions: Vec<Partition>,
    /// Whether the template is `name=${name}/` for each value and nothing else: readers then find partitions by
    /// themselves.
    pub is_hive: bool,
}

/// A value in the keys of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// In small letters, digits and `_`.
    pub name: String,
    /// What it is.
    pub value: PartitionValue,
}

/// What stands in the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionValue {
    /// A time by this Java date pattern; of the event, or of the arrival.
    Time {
        /// The pattern.
        pattern: String,
        /// Whether it is the event's.
        of_event: bool,
    },
    /// A key of jq or of a transform, whatever its values are.
    Key,
    /// A random text.
    Random,
}

#[derive(Clone, Debug)]
enum Token {
    Text(String),
    Value {
        /// What it is called where its segment gives it no name.
        called: String,
        value: PartitionValue,
    },
}

impl PrefixLayout {
    /// The layout of a prefix that compiles; the parts of another one that can be read.
    pub fn of(prefix: Option<&str>) -> Self {
        let text = prefix.unwrap_or_default();
        let mut tokens = Vec::new();
        for piece in expression::parse(text, PartitionSetting::Prefix, &mut Vec::new()) {
            push(&mut tokens, token(text, piece));
        }
        if !expression::has_expression(text) {
            push(&mut tokens, vec![time(expression::DEFAULT_TIME, false)]);
        }
        let mut tokens: Vec<Token> = tokens.into_iter().flat_map(without_edges).collect();
        cut_names(&mut tokens);
        Self::of_tokens(tokens)
    }

    fn of_tokens(tokens: Vec<Token>) -> Self {
        let mut layout = Self {
            is_hive: true,
            ..Self::default()
        };
        let mut tokens = joined(tokens).into_iter().peekable();
        if let Some(Token::Text(text)) = tokens.peek_mut() {
            let head = text.rfind('/').map_or(0, |slash| slash + 1);
            layout.head = text.drain(..head).collect();
        }
        // What stands in the segment before the value.
        let mut before = String::new();
        for token in tokens {
            match token {
                Token::Text(text) => {
                    layout.template.push_str(&text);
                    // Behind a value there are its slash and the next name, or a segment of its own.
                    let (end, begin) = text.rsplit_once('/').unwrap_or(("", &text));
                    let is_first = layout.partitions.is_empty();
                    layout.is_hive &= end.is_empty() && (is_first || text.starts_with('/'));
                    begin.clone_into(&mut before);
                }
                Token::Value { called, value } => {
                    let named = before.strip_suffix('=').filter(|name| is_name(name));
                    let name = layout.free(named.unwrap_or(&called));
                    let is_one_segment = match &value {
                        PartitionValue::Time { pattern, .. } => !pattern.contains('/'),
                        PartitionValue::Key | PartitionValue::Random => true,
                    };
                    layout.is_hive &= is_one_segment && named == Some(&*name);
                    _ = write!(layout.template, "${{{name}}}");
                    layout.partitions.push(Partition { name, value });
                    before.clear();
                }
            }
        }
        layout
    }

    /// A name like this one that no other value has.
    fn free(&self, like: &str) -> String {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        };
        let like: String = like.chars().map(plain).collect();
        let is_free = |name: &String| self.partitions.iter().all(|other| other.name != *name);
        let more = (2..).map(|number| format!("{like}_{number}"));
        let mut names = std::iter::once(like.clone()).chain(more);
        names.find(is_free).unwrap_or_default()
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn time(pattern: &str, of_event: bool) -> Token {
    let value = PartitionValue::Time {
        pattern: pattern.to_owned(),
        of_event,
    };
    let called = "dt".to_owned();
    Token::Value { called, value }
}

fn token(text: &str, SpannedPart { part, at, .. }: SpannedPart) -> Vec<Token> {
    // `!{namespace:pattern}`
    let written = text[at].split_once(':').map_or("", |(_, value)| value);
    let pattern = written.strip_suffix('}').unwrap_or(written);
    let (called, value) = match part {
        PrefixPart::Literal(text) => return vec![Token::Text(text)],
        PrefixPart::Timestamp(_) => return vec![time(pattern, false)],
        PrefixPart::EventTime(_) => return vec![time(pattern, true)],
        PrefixPart::QueryKey(key) | PrefixPart::TransformKey(key) => (key, PartitionValue::Key),
        PrefixPart::RandomString => ("random".to_owned(), PartitionValue::Random),
        PrefixPart::ErrorOutputType => return Vec::new(), // refused when parsed
    };
    vec![Token::Value { called, value }]
}

/// Appends tokens; a time goes on with the one before it, where nothing but plain text is between them.
fn push(tokens: &mut Vec<Token>, more: Vec<Token>) {
    for token in more {
        if let Token::Value {
            value: PartitionValue::Time { pattern, of_event },
            ..
        } = &token
            && go_on(tokens, pattern, *of_event)
        {
            continue;
        }
        tokens.push(token);
    }
}

fn go_on(tokens: &mut Vec<Token>, pattern: &str, of_event: bool) -> bool {
    let between = match &tokens[..] {
        [.., Token::Value { .. }, Token::Text(text)] if !text.contains('=') => text.clone(),
        [.., Token::Value { .. }] => String::new(),
        _ => return false,
    };
    let last = tokens.len() - 1 - usize::from(!between.is_empty());
    let Token::Value {
        value:
            PartitionValue::Time {
                pattern: before,
                of_event: clock,
            },
        ..
    } = &mut tokens[last]
    else {
        return false;
    };
    // Letters that meet would be one field.
    let meets = between.is_empty() && before.chars().last() == pattern.chars().next();
    if *clock != of_event || meets {
        return false;
    }
    let is_plain = |c: char| !c.is_ascii_alphabetic() && !"'[]{}#".contains(c);
    let is_all_plain = between.chars().all(is_plain);
    // Two quotes that meet would be one in the text.
    if !is_all_plain && (before.ends_with('\'') || pattern.starts_with('\'')) {
        return false;
    }
    if is_all_plain {
        before.push_str(&between);
    } else {
        _ = write!(before, "'{}'", between.replace('\'', "''"));
    }
    before.push_str(pattern);
    tokens.truncate(last + 1);
    true
}

/// A time whose pattern begins or ends with slashes, without them, and the slashes.
fn without_edges(token: Token) -> Vec<Token> {
    let Token::Value {
        called,
        value: PartitionValue::Time { pattern, of_event },
    } = token
    else {
        return vec![token];
    };
    let inner = pattern.trim_matches('/').to_owned();
    let start = pattern.len() - pattern.trim_start_matches('/').len();
    let end = start + inner.len();
    let edges = [pattern[..start].to_owned(), pattern[end..].to_owned()];
    let value = PartitionValue::Time {
        pattern: inner,
        of_event,
    };
    let [before, after] = edges.map(Token::Text);
    vec![before, Token::Value { called, value }, after]
}

/// Leaves off what follows the last slash.
fn cut_names(tokens: &mut Vec<Token>) {
    while let Some(last) = tokens.last_mut() {
        if let Token::Text(text) = last
            && let Some(slash) = text.rfind('/')
        {
            text.truncate(slash + 1);
            return;
        }
        tokens.pop();
    }
}

/// Texts next to each other as one, without empty ones.
fn joined(tokens: Vec<Token>) -> Vec<Token> {
    let mut all: Vec<Token> = Vec::with_capacity(tokens.len());
    for token in tokens {
        match (all.last_mut(), token) {
            (_, Token::Text(text)) if text.is_empty() => {}
            (Some(Token::Text(before)), Token::Text(text)) => before.push_str(&text),
            (_, token) => all.push(token),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a layout says: head, template, and the values.
    fn told(prefix: &str) -> String {
        let layout = PrefixLayout::of(Some(prefix));
        let mut told = format!("{} | {}", layout.head, layout.template);
        if layout.is_hive {
            told.push_str(" | hive");
        }
        for Partition { name, value } in &layout.partitions {
            let (what, pattern) = match value {
                PartitionValue::Time {
                    pattern,
                    of_event: true,
                } => (" event ", &**pattern),
                PartitionValue::Time { pattern, .. } => (" arrival ", &**pattern),
                PartitionValue::Key => (" key", ""),
                PartitionValue::Random => (" random", ""),
            };
            for text in [" | ", name, what, pattern] {
                told.push_str(text);
            }
        }
        told
    }

    /// Prefixes, and what is told of their layouts.
    const LAYOUTS: &[[&str; 2]] = &[
        ["", " | ${dt}/ | dt arrival yyyy/MM/dd/HH"],
        ["raw/", "raw/ | ${dt}/ | dt arrival yyyy/MM/dd/HH"],
        ["raw", " | raw${dt}/ | dt arrival yyyy/MM/dd/HH"],
        [
            "c/t=!{partitionKeyFromQuery:event_type}/year=!{eventTime:yyyy}/month=!{eventTime:MM}/",
            "c/ | t=${t}/year=${year}/month=${month}/ | hive | t key | year event yyyy | month event MM",
        ],
        [
            "c/!{timestamp:yyyy}/!{timestamp:MM}/!{timestamp:dd}/",
            "c/ | ${dt}/ | dt arrival yyyy/MM/dd",
        ],
        [
            "c/dt=!{timestamp:yyyy}-!{timestamp:MM}-!{timestamp:dd}/",
            "c/ | dt=${dt}/ | hive | dt arrival yyyy-MM-dd",
        ],
        [
            "c/!{timestamp:yyyy-MM-dd}/h/!{timestamp:HH}/x-",
            "c/ | ${dt}/ | dt arrival yyyy-MM-dd'/h/'HH",
        ],
        [
            "c/!{timestamp:yyyy}!{timestamp:yy}/",
            "c/ | ${dt}${dt_2}/ | dt arrival yyyy | dt_2 arrival yy",
        ],
        [
            "c/!{timestamp:yyyy}/!{eventTime:MM}/",
            "c/ | ${dt}/${dt_2}/ | dt arrival yyyy | dt_2 event MM",
        ],
        [
            "c/!{partitionKeyFromTransform:Team.Name}/x=1/k=!{partitionKeyFromQuery:k}-a/",
            "c/ | ${team_name}/x=1/k=${k}-a/ | team_name key | k key",
        ],
        [
            "c/dt=!{timestamp:yyyy/MM/dd}/",
            "c/ | dt=${dt}/ | dt arrival yyyy/MM/dd",
        ],
        [
            "c/k=!{partitionKeyFromQuery:a}/k=!{partitionKeyFromQuery:b}/",
            "c/ | k=${k}/k=${k_2}/ | k key | k_2 key",
        ],
        [
            "c/!{timestamp:yyyy'T'}at!{timestamp:HH}/",
            "c/ | ${dt}at${dt_2}/ | dt arrival yyyy'T' | dt_2 arrival HH",
        ],
        [
            "c/Day=!{timestamp:dd}/r=!{firehose:random-string}/",
            "c/ | Day=${day}/r=${r}/ | day arrival dd | r random",
        ],
        ["c/fixed/p-!{timestamp:yyyy}", "c/fixed/ |  | hive"],
        ["p!{partitionKeyFromQuery:k}", " |  | hive"],
        [
            "!{timestamp:/yyyy/MM/}x=!{partitionKeyFromQuery:k}/",
            "/ | ${dt}/x=${x}/ | dt arrival yyyy/MM | x key",
        ],
    ];

    #[test]
    fn a_prefix_tells_where_objects_lie() {
        for [prefix, expected] in LAYOUTS {
            assert_eq!(told(prefix), *expected, "{prefix}");
        }
    }
}
