//! A class in brackets.

use super::class::{CharRange, Class};
use super::syntax::PatternParser;

/// What stands before a place in a class.
#[derive(Clone, Copy)]
enum Before {
    Start,
    Char(char),
    /// A character and a dash: where a range begins.
    Dash(char),
    Range,
    /// A class such as `\w`.
    Class,
}

impl PatternParser<'_> {
    /// Reads what stands behind an opening bracket. A class does not stand within another, and `&&`
    /// are two characters; so is white space, whatever the flags.
    pub(super) fn bracket(&mut self) -> Result<Class, String> {
        let negated = self.eat("^");
        let mut runs: Vec<CharRange> = Vec::new();
        let mut before = Before::Start;
        // A bracket that closes nothing is a character.
        if self.rest.starts_with(']') {
            if !self.rest[1..].contains(']') {
                return Err("a class is empty".into());
            }
            self.next();
            before = add(']', before, &mut runs)?;
        }
        loop {
            let next = self.next();
            before = match next.ok_or("a class is not closed; write `\\[` for the character")? {
                ']' => break,
                '[' if self.eat(":") => {
                    let class = self.posix()?;
                    self.add_all(&class, before, &mut runs)?
                }
                '\\' => {
                    let letter = self.next().ok_or("the pattern ends in a backslash")?;
                    if let Some(class) = Class::of_letter(letter) {
                        self.add_all(&class, before, &mut runs)?
                    } else {
                        let char = match letter {
                            'b' => '\x08',
                            'c' | 'p' | 'P' => {
                                return Err(format!("`\\{letter}` is not supported"));
                            }
                            letter => self.escaped(letter, "01234567")?,
                        };
                        add(char, before, &mut runs)?
                    }
                }
                '-' if !self.rest.starts_with(']') => match before {
                    Before::Char(from) => Before::Dash(from),
                    Before::Class => {
                        return Err("a range cannot begin with a class: write `\\-`".into());
                    }
                    before => add('-', before, &mut runs)?,
                },
                char => add(char, before, &mut runs)?,
            };
        }
        let class = self.with_cases(Class::new(runs));
        Ok(if negated { class.negated() } else { class })
    }

    /// Reads what stands behind `[:`.
    fn posix(&mut self) -> Result<Class, String> {
        let negated = self.eat("^");
        let found = self.rest.split_once(":]");
        let found = found.and_then(|(name, rest)| Some((Class::named(name)?, rest)));
        let (class, rest) = found.ok_or("a `[:` begins no class that is known, as `[:alpha:]`")?;
        self.rest = rest;
        Ok(if negated {
            class.negated()
        } else {
            class.clone()
        })
    }

    fn add_all(
        &mut self,
        class: &Class,
        before: Before,
        runs: &mut Vec<CharRange>,
    ) -> Result<Before, String> {
        if let Before::Dash(_) = before {
            return Err("a range cannot end with a class: write `\\-`".into());
        }
        // They are sorted at the end.
        self.pay(class.runs().len() / 8);
        runs.extend_from_slice(class.runs());
        Ok(Before::Class)
    }
}

fn add(char: char, before: Before, runs: &mut Vec<CharRange>) -> Result<Before, String> {
    let (from, now) = match before {
        Before::Dash(from) => (from, Before::Range),
        _ => (char, Before::Char(char)),
    };
    if from > char {
        return Err(format!("the range `{from}-{char}` is empty"));
    }
    runs.push((from.into(), char.into()));
    Ok(now)
}
