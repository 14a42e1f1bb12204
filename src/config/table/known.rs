//! Which keys a table may have.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::DeValue;

use super::super::diagnostic::Diagnostic;
use super::super::words;
use super::Table;

impl Table<'_> {
    /// Marks keys that are right only with another choice, such as `bucket` without
    /// `type = "s3"`.
    pub fn only_with(
        &mut self,
        keys: &'static [&'static str],
        choice: impl Into<Cow<'static, str>>,
    ) {
        self.elsewhere.push((keys, choice.into()));
    }

    /// Accepts keys that cannot be judged because the choice they depend on is wrong.
    pub(in crate::config) fn accept(&mut self, keys: &[&'static str]) {
        self.silent.extend(keys);
    }

    /// Whether a string is one of the words for what people look for and what is not there: each with why, and with what to
    /// write instead. That is reported.
    pub(in crate::config) fn is_absent(
        &mut self,
        key: &'static str,
        absent: &[(&str, [&'static str; 2])],
    ) -> bool {
        let Some(DeValue::String(word)) = self.entries.get(key).map(Spanned::get_ref) else {
            return false;
        };
        let Some((_, [why, instead])) = absent.iter().find(|(absent, _)| **word == **absent) else {
            return false;
        };
        self.accept(&[key]);
        self.report(Diagnostic::fault(self.place_of(key), *why).help(*instead));
        true
    }

    /// How many keys were asked for so far, for [`Self::has_asked_only`].
    pub(in crate::config) fn asked_so_far(&self) -> usize {
        self.asked.len()
    }

    /// Holds a kind to its word: what it has asked for since is among the keys that it says it has. The documents have a row
    /// for each of those, and other tables send the reader here.
    pub(in crate::config) fn has_asked_only(
        &self,
        before: usize,
        kind: &str,
        is_key: impl Fn(&str) -> bool,
    ) {
        let other = self.asked[before..].iter().find(|key| !is_key(key));
        debug_assert!(
            other.is_none(),
            "{kind} reads a key that is not among its keys(): {other:?}"
        );
    }

    /// Reports every key that was not asked for.
    pub fn finish(self) {
        for (key, _) in self.entries {
            let word: &str = key.get_ref();
            if self.asked.contains(&word) || self.silent.contains(&word) {
                continue;
            }
            let place = self.file.place(key.span());
            let choice = self.elsewhere.iter().find(|(keys, _)| keys.contains(&word));
            self.file.report(if let Some((_, choice)) = choice {
                let message = format!("`{word}` {} is only for {choice}", self.here());
                Diagnostic::fault(place, message)
            } else {
                let message = format!("unknown key \"{word}\" {}", self.here());
                Diagnostic::fault(place, message).help(self.help_for(word))
            });
        }
    }

    /// Help for an unknown key, with the stream's own name in it.
    fn help_for(&self, word: &str) -> String {
        let help = words::key_help(&self.path, word, &self.asked, self.file.registry);
        let stream = self
            .path
            .strip_prefix("stream.")
            .and_then(|path| path.split('.').next());
        match stream {
            Some(stream) => help.replace("stream.NAME", &format!("stream.{stream}")),
            None => help,
        }
    }
}
