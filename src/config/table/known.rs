//! Which keys a table may have.

use std::borrow::Cow;

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
        let help = words::key_help(&self.path, word, &self.asked);
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
