//! Matches, and what they are charged.

use proptest::prelude::*;
use regex_bites::bytes::RegexBuilder;

use super::*;
use crate::partition::jq::meter::{bounded, burned};

/// Patterns of few characters, so that they match often and in several ways.
fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "ab", "é", "_", " ", "A", "-", "0"]),
        3 => prop::sample::select(vec![
            ".", "[ab]", "[^a]", "[^a-z]", "\\w", "\\W", "\\d", "\\s", "\\S", "[\\wé]", "[^\\w-]",
            "[[:upper:]_]", "[[:^alpha:]]", "[à-ê]", "\\x61", "[-a]", "\\.",
        ]),
        2 => prop::sample::select(vec![
            "^", "$", "\\A", "\\z", "\\b", "\\B", "\\<", "\\>", "\\b{start-half}",
            "\\b{end-half}", "(?m:^)", "(?m:$)", "(?mR:^)", "(?mR:$)", "", "()",
        ]),
    ];
    leaf.prop_map(str::to_owned)
        .prop_recursive(4, 24, 4, |inner| {
            let times = prop::sample::select(vec![
                "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,2}?", "{2,}", "{0,}", "{1}",
            ]);
            prop_oneof![
                3 => prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
                2 => prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| parts.join("|")),
                3 => (inner.clone(), times).prop_map(|(what, times)| format!("(?:{what}){times}")),
                2 => inner.clone().prop_map(|what| format!("({what})")),
                1 => (prop::sample::select(vec!["i", "s", "U", "-i", "is", "mR"]), inner)
                    .prop_map(|(flags, what)| format!("(?{flags}:{what})")),
            ]
        })
}

fn text(length: usize) -> impl Strategy<Value = String> {
    let chars = prop::sample::select(vec![
        'a', 'b', 'é', '_', ' ', 'A', 'B', '-', '0', '\n', '\r',
    ]);
    prop::collection::vec(chars, 0..length).prop_map(|chars| chars.into_iter().collect())
}

fn compiled(pattern: &str, options: Options) -> Rc<Pattern> {
    Pattern::new(pattern, options).unwrap_or_else(|why| panic!("{pattern}: {why}"))
}

/// A search from a byte on: its groups, and how many steps it has counted.
fn search(pattern: &Pattern, text: &str, from: usize) -> (Option<Match>, u64) {
    let (before, mut memory) = (burned(), Memory::default());
    let mut places = vec![0; 2 * pattern.program.names.len()];
    let allowance = pattern.allowance(text);
    let search = || memory.search(&pattern.program, text, from, &allowance, &mut places);
    let found = bounded(search).unwrap();
    let steps = (burned() - before) * 128 + memory.uncharged();
    (found.then_some(Match(places)), steps)
}

fn groups(pattern: &Pattern, found: Option<&Match>) -> Option<Vec<Option<Range<usize>>>> {
    let found = found?;
    let groups = 0..pattern.program.names.len();
    Some(groups.map(|index| found.group(index)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn matches_are_those_of_regex_bites(
        pattern in pattern(), text in text(12), ignore_case: bool, dot: bool,
    ) {
        let mut theirs = RegexBuilder::new(&pattern);
        theirs.case_insensitive(ignore_case).dot_matches_new_line(dot);
        // It nests less deep at times.
        let Ok(theirs) = theirs.build() else { return Ok(()) };
        let mut options = Options::default();
        (options.ignore_case, options.dot_takes_line_ends) = (ignore_case, dot);
        let ours = compiled(&pattern, options);
        for (from, _) in text.char_indices().chain([(text.len(), ' ')]) {
            let expected = theirs.captures_at(text.as_bytes(), from);
            let expected = expected.map(|found| {
                let groups = found.iter().map(|group| group.map(|group| group.start()..group.end()));
                groups.collect::<Vec<_>>()
            });
            let (found, _) = search(&ours, &text, from);
            let found = groups(&ours, found.as_ref());
            prop_assert_eq!(&found, &expected, "{} in {:?} from {}", pattern, text, from);
            if from == 0 {
                prop_assert_eq!(ours.is_match(&text, &ours.allowance(&text)), expected.is_some());
            }
        }
    }

    /// What has not been paid for has not been looked at: it can be anything.
    #[test]
    fn a_search_pays_for_all_that_it_looks_at(
        pattern in pattern(), head in text(40), tail in text(400), other in text(400),
    ) {
        let pattern = compiled(&pattern, Options::default());
        let whole = head + &tail;
        let (found, steps) = search(&pattern, &whole, 0);
        // A step is a character, or 16 bytes; it may look one further.
        let mut seen = 16 * usize::try_from(steps).unwrap() + 32;
        if seen < whole.len() {
            while !whole.is_char_boundary(seen) {
                seen += 1;
            }
            let changed = whole[..seen].to_owned() + &other;
            let (again, _) = search(&pattern, &changed, 0);
            let of = |found: Option<Match>| groups(&pattern, found.as_ref());
            prop_assert_eq!(of(found), of(again));
        }
    }

    /// In the worst case, each step of the program once a character, with the way there and back.
    #[test]
    fn a_search_takes_steps_in_proportion_to_pattern_and_text(
        pattern in pattern(), text in text(200),
    ) {
        let pattern = compiled(&pattern, Options::default());
        let (_, steps) = search(&pattern, &text, 0);
        let size = pattern.program.steps.len() + 2 * pattern.program.names.len();
        let most = 4 * (size + 1) * (text.len() + 2);
        prop_assert!(steps <= most as u64, "{} steps, not {}", steps, most);
    }
}

#[test]
fn a_pattern_that_is_too_large_or_too_deep_fails_before_it_takes_memory() {
    let deep = format!("{}a{}", "(".repeat(200), ")".repeat(200));
    let grouped = format!("{}(?:a{{60}}){{60}}", "(a)".repeat(200));
    let classes = format!("(?:[{}]{{1000}}){{1000}}", "a-cx-z0-9é".repeat(100));
    for pattern in [
        "(x{1000}){1000}",
        "(?:a?){1000}{1000}b",
        "(?:){1000}{1000}{1000}",
        "(?:(?i)){4000000000}",
        "(?:a{0}){4000000000}",
        "[\\x00-\\x{10ffff}]{1000}{1000}",
        &deep,
        &grouped,
        &classes,
    ] {
        let before = burned();
        let compiled = bounded(|| Pattern::new(pattern, Options::default()).is_ok());
        assert_eq!(compiled, Ok(false), "{}", &pattern[..20.min(pattern.len())]);
        let burned = burned() - before;
        assert!(burned > 1000, "{burned} for {pattern:.30}");
    }
}

#[test]
fn a_pattern_costs_the_same_whether_it_is_kept_or_not() {
    let cost = |pattern: &str| {
        let before = burned();
        let compiled = bounded(|| compiled(pattern, Options::default()).names().count());
        assert!(compiled.is_ok(), "{pattern}");
        burned() - before
    };
    let first = cost("a(b|c)");
    assert_eq!(cost("a(b|c)"), first);
    for n in 0..2 * KEPT {
        cost(&format!("a|b{n}"));
    }
    assert_eq!(cost("a(b|c)"), first);
    assert!(COMPILED.with_borrow(|kept| kept.len() <= KEPT));
}
