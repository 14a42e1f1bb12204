//! The nearest right word for a wrong one: one rule for keys, words, names, functions and types.

/// No right word is longer, and the distance takes time by both lengths.
const WORD_MAX: usize = 64;

/// So many letters of a word's head may stand for it.
const HEAD_MIN: usize = 3;

/// The right word that was probably meant, if one is near enough: the one of the fewest slips (a letter
/// too many, missing, wrong, or two in each other's place), three at most, one in three letters, not all.
/// Case, hyphens and underscores do not count, and what is left out at a word's end is one slip: `len`
/// is `length`.
pub fn nearest<'w>(word: &str, right: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    if word.len() > WORD_MAX {
        return None;
    }
    let word = fold(word);
    let candidates = right.into_iter().filter_map(|right| {
        let folded = fold(right);
        let slips = if word.len() >= HEAD_MIN && folded.starts_with(&word) {
            usize::from(folded.len() > word.len())
        } else {
            strsim::osa_distance(&word, &folded)
        };
        let letters = folded.len().max(word.len());
        let tolerated = right.len().max(letters).div_ceil(3).min(3);
        (slips <= tolerated && slips < letters).then_some((slips, right))
    });
    let best = candidates.min_by_key(|(slips, _)| *slips)?;
    Some(best.1)
}

/// A word without case, hyphens and underscores: `ErrorOutputPrefix` = `error_output_prefix`.
pub fn fold(word: &str) -> String {
    word.chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_word_is_offered_only_when_it_is_near() {
        for (word, right, expected) in [
            ("intervall", &["size", "interval"][..], Some("interval")),
            ("Interval", &["size", "interval"], Some("interval")),
            ("state-dir", &["state_dir"], Some("state_dir")),
            ("zts", &["none", "gzip", "zstd"], Some("zstd")),
            ("colour", &["size", "interval"], None),
            ("tostrin", &["strings", "tostring"], Some("tostring")),
            ("to_string", &["strings", "tostring"], Some("tostring")),
            ("bigit", &["int", "bigint", "binary"], Some("bigint")),
            ("clikc", &["clicks", "orders"], Some("clicks")),
            ("time", &["eventTime", "timestamp"], Some("timestamp")),
            ("len", &["del", "length"], Some("length")),
            ("date", &["path", "dateadd"], Some("dateadd")),
            ("gz", &["gzip", "zip"], Some("gzip")),
            ("uuid", &["int", "date"], None),
            ("a", &["b", "c"], None),
            ("anything", &[], None),
        ] {
            let found = nearest(word, right.iter().copied());
            assert_eq!(found, expected, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), ["size"]), None);
    }
}
