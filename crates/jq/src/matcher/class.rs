//! Sets of characters.

use std::sync::LazyLock;

use regex_syntax::hir::{Class as HirClass, ClassUnicode, ClassUnicodeRange, HirKind};

/// First and last code point of characters in a row.
pub(super) type CharRange = (u32, u32);

/// The classes that have names, as Unicode has them; `\d` and `\s` are two of them.
const NAMED: [(&str, &str); 14] = [
    ("word", r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]"),
    ("digit", r"\p{Nd}"),
    ("space", r"\p{White_Space}"),
    ("alnum", r"[\p{Alphabetic}\p{Nd}]"),
    ("alpha", r"\p{Alphabetic}"),
    ("ascii", r"[\x00-\x7f]"),
    ("blank", r"[\p{Zs}\t]"),
    ("cntrl", r"\p{Cc}"),
    ("graph", r"[^\p{White_Space}\p{Cc}\p{Cn}]"),
    ("lower", r"\p{Lowercase}"),
    ("print", r"[[^\p{White_Space}\p{Cc}\p{Cn}]\p{Zs}]"),
    ("punct", r"\p{P}"),
    ("upper", r"\p{Uppercase}"),
    ("xdigit", r"[0-9A-Fa-f]"),
];

/// `\w` where it stands by itself: Oniguruma also counts some more characters of Latin-1 as parts of words.
const WORD: &str = r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}²³¹¼½¾]";

static CLASSES: LazyLock<Vec<Class>> =
    LazyLock::new(|| NAMED.iter().map(|(_, pattern)| read(pattern)).collect());
static WORDS: LazyLock<Class> = LazyLock::new(|| read(WORD));
/// Characters and their other cases, a pair each, sorted: to go through these takes no longer for a class that
/// has all characters.
static CASES: LazyLock<Vec<(u32, u32)>> = LazyLock::new(|| {
    let has_others = read(r"\p{Changes_When_Casemapped}");
    let codes = has_others
        .runs
        .iter()
        .flat_map(|(first, last)| *first..=*last);
    let chars = codes.filter_map(char::from_u32);
    chars
        .flat_map(|char| other_cases(char).map(move |other| (char.into(), other)))
        .collect()
});

/// The other cases of one character.
fn other_cases(char: char) -> impl Iterator<Item = u32> {
    let mut cases = ClassUnicode::new([ClassUnicodeRange::new(char, char)]);
    cases.case_fold_simple();
    let cases = Class::of_ranges(&cases).runs.into_iter();
    let cases = cases.flat_map(|(first, last)| first..=last);
    cases.filter(move |other| *other != u32::from(char))
}

/// The class that a pattern is.
fn read(pattern: &str) -> Class {
    let parsed = regex_syntax::parse(pattern).map(regex_syntax::hir::Hir::into_kind);
    match parsed {
        Ok(HirKind::Class(HirClass::Unicode(class))) => Class::of_ranges(&class),
        _ => Class::new([]),
    }
}

/// A set of characters.
#[derive(Clone, Debug)]
pub(super) struct Class {
    /// Which of the first 128 are in it, a bit each.
    ascii: u128,
    /// Sorted, none touching another. (Surrogates may be in it; no text has any.)
    runs: Vec<CharRange>,
}

impl Class {
    pub(super) fn of(ranges: impl IntoIterator<Item = (char, char)>) -> Self {
        let ranges = ranges.into_iter();
        Self::new(ranges.map(|(first, last)| (first.into(), last.into())))
    }

    pub(super) fn new(runs: impl IntoIterator<Item = CharRange>) -> Self {
        let mut given: Vec<_> = runs.into_iter().collect();
        given.sort_unstable();
        let mut runs: Vec<CharRange> = Vec::new();
        for (first, last) in given {
            match runs.last_mut() {
                Some(before) if first <= before.1 + 1 => before.1 = before.1.max(last),
                _ => runs.push((first, last)),
            }
        }
        let mut ascii = 0;
        for (first, last) in &runs {
            for code in *first..=(*last).min(127) {
                ascii |= 1 << code;
            }
        }
        Self { ascii, runs }
    }

    fn of_ranges(class: &ClassUnicode) -> Self {
        Self::of(class.iter().map(|range| (range.start(), range.end())))
    }

    pub(super) fn any() -> Self {
        Self::of([('\0', char::MAX)])
    }

    pub(super) fn any_but_line_end() -> Self {
        Self::of([('\n', '\n')]).negated()
    }

    /// `[:name:]`
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        let at = NAMED.iter().position(|(known, _)| *known == name)?;
        CLASSES.get(at)
    }

    /// What `\b` goes by.
    pub(super) fn is_word(char: char) -> bool {
        WORDS.has(char)
    }

    /// The class that a letter behind a backslash stands for, outside of brackets.
    pub(super) fn of_letter_alone(letter: char) -> Option<Self> {
        match letter {
            'w' => Some(WORDS.clone()),
            'W' => Some(WORDS.negated()),
            other => Self::of_letter(other),
        }
    }

    /// The class that a letter behind a backslash stands for, within brackets.
    pub(super) fn of_letter(letter: char) -> Option<Self> {
        let name = match letter.to_ascii_lowercase() {
            'w' => "word",
            'd' => "digit",
            's' => "space",
            _ => return None,
        };
        let class = Self::named(name)?;
        Some(if letter.is_ascii_uppercase() {
            class.negated()
        } else {
            class.clone()
        })
    }

    pub(super) fn runs(&self) -> &[CharRange] {
        &self.runs
    }

    /// Whether there is one character in it.
    pub(super) fn is_one(&self) -> bool {
        matches!(self.runs[..], [(first, last)] if first == last)
    }

    pub(super) fn has(&self, char: char) -> bool {
        let code = u32::from(char);
        if code < 128 {
            return (self.ascii >> code) & 1 == 1;
        }
        let at = self.runs.partition_point(|(_, last)| *last < code);
        self.runs.get(at).is_some_and(|(first, _)| *first <= code)
    }

    /// Marks the bytes that its characters can begin with.
    pub(super) fn first_bytes(&self, marked: &mut [bool; 256]) {
        let byte = |code: u32| match code {
            0..0x80 => code,
            0x80..0x800 => 0xc0 | code >> 6,
            0x800..0x1_0000 => 0xe0 | code >> 12,
            _ => 0xf0 | code >> 18,
        };
        for (first, last) in &self.runs {
            marked[byte(*first) as usize..=byte(*last) as usize].fill(true);
        }
        // Bytes within characters: a search begins nowhere there.
        marked[0x80..0xc2].fill(false);
    }

    /// How much work [`Self::without_case`] is. To find that out takes a small part of it.
    pub(super) fn case_effort(&self) -> usize {
        let pairs: usize = self.cases().map(|(_, pairs)| pairs.len()).sum();
        8 + (self.runs.len() + pairs) / 8
    }

    /// The same with the other cases of all characters that are in it, each for itself.
    pub(super) fn without_case(mut self) -> Self {
        let others = |(run, pairs): (CharRange, &'static [(u32, u32)])| {
            let others = pairs.iter().map(|(_, other)| *other);
            others.filter(move |other| !(run.0..=run.1).contains(other))
        };
        let others: Vec<CharRange> = self
            .cases()
            .flat_map(others)
            .map(|other| (other, other))
            .collect();
        if others.is_empty() {
            return self;
        }
        self.runs.extend(others);
        Self::new(self.runs)
    }

    /// Its runs, with the pairs of [`CASES`] whose first character is in them.
    fn cases(&self) -> impl Iterator<Item = (CharRange, &'static [(u32, u32)])> {
        let first = self.runs.first().map_or(0, |run| run.0);
        let mut rest = &CASES[CASES.partition_point(|(char, _)| *char < first)..];
        self.runs.iter().map(move |run| {
            // Searched one after the other: there may be many runs, and short ones.
            let behind = |end: u32| rest.iter().take_while(|(char, _)| *char < end).count();
            let within = &rest[behind(run.0)..behind(run.1 + 1)];
            rest = &rest[behind(run.1 + 1)..];
            (*run, within)
        })
    }

    /// What is not in it.
    pub(super) fn negated(&self) -> Self {
        let (mut runs, mut from) = (Vec::new(), 0);
        for (first, last) in &self.runs {
            if from < *first {
                runs.push((from, first - 1));
            }
            from = last + 1;
        }
        if from <= u32::from(char::MAX) {
            runs.push((from, char::MAX.into()));
        }
        Self::new(runs)
    }
}
