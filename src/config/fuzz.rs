//! Config files as somebody may type them.

use std::path::Path;

use super::{Diagnostics, Registry, parse, parse_object};
use crate::printable::steers;

/// A config file, and one of a module's own values: each is read, or every fault has a place in it.
pub fn config(bytes: &[u8], registry: &Registry) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let env = |name: &str| (name == "HOME").then(|| "/home/somebody".to_owned());
    let path = Path::new("firehose.toml");
    match parse(text, path, &env, registry) {
        Ok(loaded) => are_shown(&loaded.warnings, text),
        Err(faults) => are_shown(&faults, text),
    }
    if let Err(faults) = parse_object(text, path, &env) {
        are_shown(&faults, text);
    }
}

fn are_shown(found: &Diagnostics, text: &str) {
    for place in found.iter().filter_map(|fault| fault.place.as_ref()) {
        let at = &place.at;
        assert!(at.start <= at.end, "{at:?}");
        assert!(text.is_char_boundary(at.start.min(text.len())), "{at:?}");
    }
    let shown = found.to_string();
    let steers = |character: char| steers(character) && !matches!(character, '\n' | '\t');
    assert!(!shown.contains(steers), "{shown:?}");
}
