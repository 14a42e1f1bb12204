//! Quantifiers that stand behind one another.

use super::syntax::Node;

/// A node with a quantifier. Of two that stand behind one another Oniguruma makes one, which also
/// changes what is preferred.
pub(super) fn repeat(node: Node, min: u32, max: Option<u32>, greedy: bool) -> Node {
    if (min, max) == (1, Some(1)) {
        return node;
    }
    let outer = common(min, max, greedy);
    let wrap = |what, (min, max, greedy)| Node::Repeat {
        what: Box::new(what),
        min,
        max,
        greedy,
    };
    let Node::Repeat {
        what,
        min: inner_min,
        max: inner_max,
        greedy: inner_greedy,
    } = node
    else {
        return wrap(node, (min, max, greedy));
    };
    let inner = (inner_min, inner_max, inner_greedy);
    match (common(inner_min, inner_max, inner_greedy), outer) {
        (Some(within), Some(outside)) => match MERGED[within][outside] {
            Merged::Inner => wrap(*what, inner),
            Merged::One(min, max, greedy) => wrap(*what, (min, max, greedy)),
            Merged::LazyOfMany => wrap(wrap(*what, (1, None, true)), (0, Some(1), false)),
            Merged::Both => wrap(wrap(*what, inner), (min, max, greedy)),
        },
        (Some(1 | 2), None) if greedy && max.is_some_and(|max| max > 1) => {
            let max = Some(min.max(1));
            wrap(wrap(*what, inner), (min, max, greedy))
        }
        (None, None) if Some(min) == max && Some(inner_min) == inner_max => {
            let times = min.saturating_mul(inner_min);
            wrap(*what, (times, Some(times), greedy))
        }
        _ => wrap(wrap(*what, inner), (min, max, greedy)),
    }
}

/// The place of a quantifier in [`MERGED`].
fn common(min: u32, max: Option<u32>, greedy: bool) -> Option<usize> {
    let place = match (min, max) {
        (0, Some(1)) => 0,
        (0, None) => 1,
        (1, None) => 2,
        _ => return None,
    };
    Some(if greedy { place } else { place + 3 })
}

#[derive(Clone, Copy)]
enum Merged {
    Inner,
    One(u32, Option<u32>, bool),
    /// `(?:a+)??`
    LazyOfMany,
    Both,
}

/// What Oniguruma makes of a quantifier, a row each, within another: `?` `*` `+` `??` `*?` `+?`.
const MERGED: [[Merged; 6]; 6] = {
    use Merged::{Both, Inner, LazyOfMany};
    const ANY: Merged = Merged::One(0, None, true);
    const ANY_LAZY: Merged = Merged::One(0, None, false);
    const MANY: Merged = Merged::One(1, None, true);
    const PERHAPS_LAZY: Merged = Merged::One(0, Some(1), false);
    [
        [Inner, ANY, ANY, PERHAPS_LAZY, ANY_LAZY, Both],
        [Inner, Inner, Inner, LazyOfMany, LazyOfMany, Inner],
        [ANY, ANY, Inner, Both, LazyOfMany, Inner],
        [Inner, ANY_LAZY, ANY_LAZY, Inner, ANY_LAZY, ANY_LAZY],
        [Inner, Inner, Inner, Inner, Inner, Inner],
        [Both, ANY, MANY, ANY_LAZY, ANY_LAZY, Inner],
    ]
};
