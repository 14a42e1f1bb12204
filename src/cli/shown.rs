//! What stands on a terminal: text of others, and counts.

use crate::printable::printable;

/// Characters that are shown of a text; `--json` shows all.
const SHOWN_MAX: usize = 300;

/// Text that neither fills the screen nor steers the terminal.
pub(super) fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(SHOWN_MAX).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    printable(&cut).into_owned()
}

/// So many of a noun that takes an `s` where it is not one.
pub(super) fn plural(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}
