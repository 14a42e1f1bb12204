//! Keys of the listener: who may send, and see, what.

use super::Secret;

/// What a key may be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put records.
    Put,
    /// Have streams listed and described.
    Describe,
}

impl Action {
    /// All of them, by their words in the config.
    pub const ALL: [(&'static str, Self); 2] = [("put", Self::Put), ("describe", Self::Describe)];
}

/// A key of the listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpKey {
    /// What it is called, in signatures and in the log: letters, digits, `_`, `.` and `-`.
    pub id: String,
    /// What only its holder knows: visible ASCII.
    pub secret: Secret,
    /// What it is for.
    pub grant: Grant,
}

/// What somebody may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Names of streams; `*` stands for any characters.
    pub streams: Vec<String>,
    /// What may be done with them.
    pub actions: Vec<Action>,
}

impl Grant {
    /// Whether this may be done with the stream of that name, be there one or not.
    pub fn allows(&self, action: Action, stream: &str) -> bool {
        let mut patterns = self.streams.iter();
        self.actions.contains(&action) && patterns.any(|pattern| matches(pattern, stream))
    }
}

/// Whether a name is what a pattern says, in which `*` stands for any characters, or for none.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    // Of the places where a part may stand, the first leaves most to those behind it.
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same in the fewest words.
    fn is_match(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|at| is_match(rest, &name[at..])),
            Some((first, rest)) => name.first() == Some(first) && is_match(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn a_star_stands_for_anything(pattern in "[ab*]{0,8}", name in "[ab]{0,8}") {
            let expected = is_match(pattern.as_bytes(), name.as_bytes());
            prop_assert_eq!(matches(&pattern, &name), expected);
        }
    }

    #[test]
    fn a_key_is_for_its_streams_and_its_actions() {
        let grant = Grant {
            streams: vec!["clicks".into(), "audit-*".into()],
            actions: vec![Action::Put],
        };
        for (action, stream, expected) in [
            (Action::Put, "clicks", true),
            (Action::Put, "audit-eu", true),
            (Action::Put, "audit-", true),
            (Action::Put, "audit", false),
            (Action::Put, "clicks2", false),
            (Action::Put, "", false),
            (Action::Describe, "clicks", false),
        ] {
            assert_eq!(
                grant.allows(action, stream),
                expected,
                "{action:?} {stream}"
            );
        }
    }
}
