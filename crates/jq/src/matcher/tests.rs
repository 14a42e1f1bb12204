//! Matches, and what they are charged.

use proptest::prelude::*;
use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::class::Class;
use super::look::Look;
use super::syntax::{Node, Tree};
use super::*;
use crate::meter::{bounded, burned};

/// Patterns of few characters, so that they match often and in several ways.
fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "ab", "é", "_", " ", "A", "-", "0"]),
        3 => prop::sample::select(vec![
            ".", "[ab]", "[^a]", "[^a-z]", "\\w", "\\W", "\\d", "\\s", "\\S", "[\\wé]", "[^\\w-]",
            "[[:upper:]_]", "[[:^alpha:]]", "[à-ê]", "\\x61", "[-a]", "\\.", "\\N", "\\O",
        ]),
        2 => prop::sample::select(vec![
            "^", "$", "\\A", "\\z", "\\Z", "\\b", "\\B", "(?m:^)", "(?m:$)", "", "()",
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
                3 => (inner.clone(), times.clone())
                    .prop_map(|(what, times)| format!("(?:{what}){times}")),
                2 => (inner.clone(), times).prop_map(|(what, times)| format!("({what}){times}")),
                2 => inner.clone().prop_map(|what| format!("({what})")),
                1 => (prop::sample::select(vec!["i", "s", "-i", "is", "m"]), inner)
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

/// A pattern; nothing where anchors would be repeated.
fn compile(pattern: &str, options: Options) -> Option<Rc<Pattern>> {
    match Pattern::new(pattern, options) {
        Ok(pattern) => Some(pattern),
        Err(why) if why.contains("matches no characters") => None,
        Err(why) => panic!("{pattern}: {why}"),
    }
}

/// A search from a byte on: its groups, and how many steps it has counted.
fn search(pattern: &Pattern, text: &str, from: usize) -> (Option<Match>, u64) {
    let before = burned();
    let searches = pattern.searches(text);
    let found = bounded(|| pattern.find(text, from, &searches)).unwrap();
    // What it takes to begin is no step.
    let begun = 1 + pattern.program.names.len() as u64 / 8;
    let steps = (burned() - before - begun) * 128 + searches.uncharged();
    (found, steps)
}

fn groups(pattern: &Pattern, found: Option<&Match>) -> Option<Vec<Option<Range<usize>>>> {
    let found = found?;
    let groups = 0..pattern.program.names.len();
    Some(groups.map(|index| found.group(index)).collect())
}

/// A matcher that tries one way after the other, as Oniguruma does, with the text, the places of
/// groups and how many steps it may still take.
struct Backtracker<'t> {
    tree: &'t Tree,
    text: &'t str,
    places: Vec<usize>,
    left: usize,
}

/// What is behind a node, from a byte on: whether it matches.
type Then<'n, 't> = &'n mut dyn FnMut(&mut Backtracker<'t>, usize) -> bool;

impl<'t> Backtracker<'t> {
    fn node(&mut self, node: &'t Node, at: usize, then: Then<'_, 't>) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        let here = self.text[at..].chars().next();
        let behind = at + here.map_or(0, char::len_utf8);
        match node {
            Node::Empty => then(self, at),
            Node::Char(char) => here == Some(*char) && then(self, behind),
            Node::Class(class) => {
                here.is_some_and(|here| self.tree.classes[*class].has(here)) && then(self, behind)
            }
            Node::Look(look) => Look::holds(*look, self.text, at) && then(self, at),
            Node::Group(index, inner) => self.keep(2 * index, at, |own| {
                own.node(inner, at, &mut |own, end| {
                    own.keep(2 * index + 1, end, |own| then(own, end))
                })
            }),
            Node::Concat(nodes) => self.all(nodes, at, then),
            Node::Either(nodes) => nodes.iter().any(|node| self.node(node, at, then)),
            Node::Repeat {
                what,
                min,
                max,
                greedy,
            } => self.repeat((what, *greedy), *min, *max, at, then),
        }
    }

    fn keep(&mut self, place: usize, at: usize, then: impl FnOnce(&mut Self) -> bool) -> bool {
        let before = std::mem::replace(&mut self.places[place], at);
        let done = then(self);
        if !done {
            self.places[place] = before;
        }
        done
    }

    fn all(&mut self, nodes: &'t [Node], at: usize, then: Then<'_, 't>) -> bool {
        match nodes {
            [] => then(self, at),
            [first, rest @ ..] => self.node(first, at, &mut |own, at| own.all(rest, at, then)),
        }
    }

    fn repeat(
        &mut self,
        what: (&'t Node, bool),
        min: u32,
        max: Option<u32>,
        at: usize,
        then: Then<'_, 't>,
    ) -> bool {
        if max == Some(0) {
            return then(self, at);
        }
        // One of any number that takes no character is the last.
        let last = |end| max.is_none() && min <= 1 && end == at;
        let again = |own: &mut Self, then: Then<'_, 't>| {
            own.node(what.0, at, &mut |own, end| {
                if last(end) {
                    return then(own, end);
                }
                own.repeat(
                    what,
                    min.saturating_sub(1),
                    max.map(|max| max - 1),
                    end,
                    then,
                )
            })
        };
        let (may_end, is_greedy) = (min == 0, what.1);
        if may_end && !is_greedy && then(self, at) {
            return true;
        }
        again(self, then) || (may_end && is_greedy && then(self, at))
    }
}

/// What a backtracker finds from a byte on; nothing certain where it would take too long.
#[expect(clippy::option_option, reason = "nothing found, or nothing known")]
fn backtracked(
    tree: &Tree,
    text: &str,
    from: usize,
    not_empty: bool,
) -> Option<Option<Vec<usize>>> {
    let mut own = Backtracker {
        tree,
        text,
        places: Vec::new(),
        left: 100_000,
    };
    for start in (from..=text.len()).filter(|at| text.is_char_boundary(*at)) {
        own.places = vec![usize::MAX; 2 * tree.names.len()];
        let found = own.node(&tree.root, start, &mut |own, end| {
            own.places[..2].copy_from_slice(&[start, end]);
            !(not_empty && start == end)
        });
        if own.left == 0 {
            return None;
        }
        if found {
            return Some(Some(own.places));
        }
    }
    Some(None)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn matches_are_those_of_a_backtracker(
        pattern in pattern(), text in text(8), ignore_case: bool, dot: bool, not_empty: bool,
    ) {
        let mut options = Options::default();
        (options.ignore_case, options.dot_takes_line_ends) = (ignore_case, dot);
        options.not_empty = not_empty;
        let Some(ours) = compile(&pattern, options) else { return Ok(()) };
        let tree = Tree::parse(&pattern, options).unwrap();
        for (from, _) in text.char_indices().chain([(text.len(), ' ')]) {
            let Some(expected) = backtracked(&tree, &text, from, not_empty) else { return Ok(()) };
            let expected = expected.map(Match);
            let (found, _) = search(&ours, &text, from);
            let (found, expected) = (groups(&ours, found.as_ref()), groups(&ours, expected.as_ref()));
            prop_assert_eq!(&found, &expected, "{} in {:?} from {}", pattern, text, from);
            if from == 0 {
                prop_assert_eq!(ours.is_match(&text, &ours.searches(&text)), expected.is_some());
            }
        }
    }

    /// What has not been paid for has not been looked at: it can be anything.
    #[test]
    fn a_search_pays_for_all_that_it_looks_at(
        pattern in pattern(), head in text(40), tail in text(400), other in text(400),
    ) {
        let Some(pattern) = compile(&pattern, Options::default()) else { return Ok(()) };
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
        let Some(pattern) = compile(&pattern, Options::default()) else { return Ok(()) };
        let (_, steps) = search(&pattern, &text, 0);
        let size = pattern.program.steps.len() + 2 * pattern.program.names.len();
        let most = 8 * (size + 1) * (text.len() + 2);
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
        "(?:(?i)){100000}{99999}",
        "(?:a{0}b{0}){100000}{99999}",
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

/// What it takes to make a class is paid before, so that not even a pattern that is none in the end goes on.
#[test]
fn fuel_ends_the_parsing_of_a_pattern_whose_classes_take_long() {
    let cases = format!("(?i){}(", "[\\S]".repeat(3600));
    let words = format!("[{}", "\\w".repeat(7000));
    let negated = format!("{}(", "\\W".repeat(7000));
    for pattern in [cases, words, negated] {
        let parsed = bounded(|| Pattern::new(&pattern, Options::default()).map(drop));
        assert!(parsed.is_err(), "{pattern:.30}: {parsed:?}");
    }
}

#[test]
fn a_small_pattern_is_kept_whatever_it_took_and_a_large_one_is_not() {
    let is_kept = |pattern: &str| {
        let mut options = Options::default();
        options.ignore_case = true;
        let of = || compile(pattern, options).unwrap();
        Rc::ptr_eq(&of(), &of())
    };
    assert!(is_kept("<a[\\s\\S]*?href[\\s\\S]*?>"));
    let classes = |count| format!("[\\w{}]", "]|[\\w".repeat(count));
    assert!(is_kept(&classes(20)));
    assert!(!is_kept(&classes(100)));
    assert!(!is_kept("(?:1{200}){100}"));
}

/// The characters of a class, as those have them who list the cases. Surrogates are none.
fn chars_of(class: &Class) -> ClassUnicode {
    let runs = class.runs().iter().map(|(first, last)| {
        let first = char::from_u32(*first).unwrap_or('\u{e000}');
        (first, char::from_u32(*last).unwrap_or('\u{d7ff}'))
    });
    let ranges = runs.filter(|(first, last)| first <= last);
    ClassUnicode::new(ranges.map(|(first, last)| ClassUnicodeRange::new(first, last)))
}

/// A class without case, and what it ought to be: they go through all its characters.
fn without_case(class: &Class) -> (ClassUnicode, ClassUnicode) {
    let mut expected = chars_of(class);
    expected.case_fold_simple();
    let ours = chars_of(&class.clone().without_case());
    (ours, expected)
}

#[test]
fn each_character_has_all_its_cases() {
    for char in '\0'..=char::MAX {
        let class = Class::of([(char, char)]);
        let (ours, expected) = without_case(&class);
        assert_eq!(ours.ranges(), expected.ranges(), "{char:?}");
    }
}

proptest! {
    #[test]
    fn a_class_has_all_cases_of_all_its_characters(
        runs in prop::collection::vec((0..0x1_f000_u32, 0..40_u32), 0..60),
        whole: Option<u16>,
        name in prop::sample::select(vec!["word", "space", "lower", "upper", "punct"]),
        named: bool,
        negated: bool,
    ) {
        let mut runs: Vec<_> = runs.into_iter().map(|(first, more)| (first, first + more)).collect();
        runs.extend(whole.map(|first| (first.into(), char::MAX.into())));
        if named {
            runs.extend_from_slice(Class::named(name).unwrap().runs());
        }
        let mut class = Class::new(runs);
        if negated {
            class = class.negated();
        }
        let (ours, expected) = without_case(&class);
        prop_assert_eq!(ours.ranges(), expected.ranges());
    }
}

#[test]
fn a_pattern_costs_the_same_whether_it_is_kept_or_not() {
    let cost = |pattern: &str| {
        let before = burned();
        let compiled =
            bounded(|| compile(pattern, Options::default()).map(|pattern| pattern.names().count()));
        assert!(compiled.is_ok(), "{pattern}");
        burned() - before
    };
    let first = cost("a(b|c)");
    assert_eq!(cost("a(b|c)"), first);
    for n in 0..2 * KEPT {
        cost(&format!("a|b{n}"));
    }
    assert_eq!(cost("a(b|c)"), first);
    let odd = "(?i)a[b-d]\\w[\\S]k{7}";
    let first = cost(odd);
    assert_eq!(cost(odd), first);
    assert!(COMPILED.with_borrow(|kept| kept.len() <= KEPT));
}

/// A split at each character would make megabytes for each, were the memory not that of all.
#[test]
fn the_memory_of_a_large_pattern_is_made_and_paid_once_for_a_text() {
    let pattern = compile("a|(?:a{300}){300}", Options::default()).unwrap();
    let (steps, text) = (pattern.program.steps.len(), "a".repeat(1000));
    let before = burned();
    let places = bounded(|| {
        let searches = pattern.searches(&text);
        let find = |at| {
            let found = pattern
                .find(&text, at, &searches)
                .map(|found| found.whole());
            assert_eq!(found, Some(at..at + 1));
            searches.place_of_memory()
        };
        (0..text.len())
            .map(find)
            .collect::<std::collections::BTreeSet<_>>()
    });
    assert_eq!(
        places.map(|places| places.len()),
        Ok(1),
        "the memory was made again"
    );
    let burned = usize::try_from(burned() - before).unwrap();
    // Two indexes of four bytes a step.
    assert!(
        burned >= steps * 8 / 64,
        "{burned} for the memory of {steps} steps"
    );
}
