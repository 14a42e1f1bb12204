//! Text of others on a terminal.

/// Characters that are shown of a text; `--json` shows all.
const SHOWN_MAX: usize = 300;

/// Text that neither fills the screen nor steers the terminal.
pub(super) fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(SHOWN_MAX).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    printable(&cut)
}

/// Text that does not steer the terminal.
pub(super) fn printable(text: &str) -> String {
    let escape = |c: char| {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(escape).collect()
}
