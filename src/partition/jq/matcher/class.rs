//! Sets of characters.

/// First and last code point of characters in a row.
pub(super) type Run = (u32, u32);

/// A set of characters.
#[derive(Clone, Debug)]
pub(super) struct Class {
    /// Which of the first 128 are in it, a bit each.
    ascii: u128,
    /// Sorted, none touching another. (Surrogates may be in it; no text has any.)
    runs: Vec<Run>,
}

impl Class {
    pub(super) fn of(ranges: impl IntoIterator<Item = (char, char)>) -> Self {
        let ranges = ranges.into_iter();
        Self::new(ranges.map(|(first, last)| (first.into(), last.into())))
    }

    pub(super) fn new(runs: impl IntoIterator<Item = Run>) -> Self {
        let mut given: Vec<_> = runs.into_iter().collect();
        given.sort_unstable();
        let mut runs: Vec<Run> = Vec::new();
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

    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    pub(super) fn has(&self, char: char) -> bool {
        let code = u32::from(char);
        if code < 128 {
            return (self.ascii >> code) & 1 == 1;
        }
        let at = self.runs.partition_point(|(_, last)| *last < code);
        self.runs.get(at).is_some_and(|(first, _)| *first <= code)
    }

    /// Marks the bytes that its characters can begin with, and perhaps some others beyond ASCII.
    pub(super) fn first_bytes(&self, marked: &mut [bool; 256]) {
        for (code, marked) in marked[..128].iter_mut().enumerate() {
            *marked |= (self.ascii >> code) & 1 == 1;
        }
        if self.runs.last().is_some_and(|(_, last)| *last >= 128) {
            marked[0xc2..=0xf4].fill(true);
        }
    }

    /// The same with the other case of all ASCII letters that are in it.
    pub(super) fn without_case(self) -> Self {
        let letters = ('a'..='z').zip('A'..='Z');
        let others = letters.flat_map(|(lower, upper)| [(lower, upper), (upper, lower)]);
        let others = others.filter(|(one, _)| self.has(*one));
        let others = others.map(|(_, other)| (other.into(), other.into()));
        Self::new(self.runs.iter().copied().chain(others))
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
