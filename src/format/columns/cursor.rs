//! JSON as columns read it: every fault has its place.

use firehose_json::{self as json, Dialect};

use super::fault::Fault;

/// A place in a record.
pub(super) type Cursor<'a> = json::TextCursor<'a, Placed>;

/// The dialect. Half a pair of surrogates is let pass here: it is a fault only where it would become text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Placed {}

impl Dialect for Placed {
    const PAIRS: bool = false;
    const IS_BOUNDED: bool = true;
    type Error = Fault;

    #[cold]
    fn expected(at: usize, what: &'static str) -> Fault {
        Fault::syntax(at, what)
    }
}

/// The dialect of what is or may become JSON text: half a pair of surrogates is a fault wherever it stands, since strict
/// readers refuse the text for it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Paired {}

impl Dialect for Paired {
    const PAIRS: bool = true;
    const IS_BOUNDED: bool = true;
    type Error = Fault;

    #[cold]
    fn expected(at: usize, what: &'static str) -> Fault {
        Fault::syntax(at, what)
    }
}

/// Appends JSON text that is known to be valid without its white space.
pub(super) fn compact(json: &[u8], out: &mut Vec<u8>) {
    let mut cursor = Cursor::of(json);
    while cursor.token().is_some() {
        let start = cursor.at();
        loop {
            match cursor.peek() {
                Some(b'"') if cursor.string().is_ok() => {}
                Some(b' ' | b'\n' | b'\t' | b'\r') | None => break,
                Some(_) => cursor.step(1),
            }
        }
        out.extend_from_slice(cursor.since(start));
    }
}
