//! The fenced blocks of a Markdown file.

use std::fmt;

/// What stands between two fences.
#[derive(Debug)]
pub struct Block {
    /// The words after the opening fence.
    pub words: String,
    /// The lines, each with its line end.
    pub text: String,
    /// Line of the opening fence.
    line: usize,
}

impl fmt::Display for Block {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.text.lines().next().unwrap_or_default();
        write!(formatter, "the block in line {} ({first:?})", self.line)
    }
}

/// All blocks in order. Commands outside of fences, and fences that do not close, are a panic: they
/// would look like code and be none.
pub fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (line, text) in (1..).zip(markdown.lines()) {
        match (text.trim_start().strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(words), None) => {
                let words = words.trim().to_owned();
                open = Some(Block {
                    words,
                    text: String::new(),
                    line,
                });
            }
            (None, Some(block)) => {
                block.text.push_str(text);
                block.text.push('\n');
            }
            (None, None) => {
                let is_code = ["    ", "\t", "~~~", "$ "]
                    .iter()
                    .any(|start| text.starts_with(start));
                assert!(
                    !is_code,
                    "line {line} looks like code outside of a fence: {text}"
                );
            }
        }
    }
    assert!(open.is_none(), "the last fence does not close");
    blocks
}
