//! Fenced blocks, links, headings and tables of a Markdown file.

use std::fmt;

/// What stands between two fences.
#[derive(Debug)]
pub struct Block {
    /// The words after the opening fence.
    pub words: String,
    /// The lines, each with its line end.
    pub text: String,
    /// The file.
    file: String,
    /// Line of the opening fence.
    line: usize,
}

impl fmt::Display for Block {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.text.lines().next().unwrap_or_default();
        let (file, line) = (&self.file, self.line);
        write!(formatter, "{file}: the block in line {line} ({first:?})")
    }
}

/// All blocks of a file in order. Commands outside of fences, and fences that do not close, are a panic:
/// they would look like code and be none.
pub fn blocks(file: &str, markdown: &str) -> Vec<Block> {
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
                    file: file.to_owned(),
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
                    "{file}: line {line} looks like code outside of a fence: {text}"
                );
            }
        }
    }
    assert!(open.is_none(), "{file}: the last fence does not close");
    blocks
}

/// The lines outside of fences.
pub fn prose(markdown: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    markdown.lines().filter(move |line| {
        let is_fence = line.starts_with("```");
        inside ^= is_fence;
        !inside && !is_fence
    })
}

/// What stands in back quotes outside of fences.
pub fn code(markdown: &str) -> Vec<String> {
    prose(markdown)
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

/// Where the links lead, those on the web left out.
pub fn links(markdown: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(markdown) {
        let words: String = line.split('`').step_by(2).collect();
        let found = words
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        links.extend(
            found
                .filter(|link| !link.starts_with("http"))
                .map(str::to_owned),
        );
    }
    links
}

/// The anchors of the headings, as mdBook and GitHub make them.
pub fn anchors(markdown: &str) -> Vec<String> {
    let headings = prose(markdown).filter_map(|line| {
        let text = line.trim_start_matches('#');
        (text.len() < line.len()).then(|| text.trim())
    });
    headings.map(anchor).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ => letter.is_alphanumeric().then_some(letter),
    });
    kept.flat_map(char::to_lowercase).collect()
}

/// What stands below a heading, to the next one of its rank.
pub fn section<'t>(markdown: &'t str, heading: &str) -> &'t str {
    let rank = heading.split(' ').next().unwrap();
    let (_, rest) = markdown
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("no heading {heading}"));
    rest.split(&format!("\n{rank} ")).next().unwrap()
}

/// The first cells of the rows of the tables in a text, their heads left out.
pub fn first_cells(markdown: &str) -> Vec<&str> {
    let lines: Vec<&str> = markdown.lines().collect();
    let is_head = |at: usize| {
        lines
            .get(at + 1)
            .is_some_and(|next| next.starts_with("|---"))
    };
    let rows = lines
        .iter()
        .enumerate()
        .filter(|(at, line)| line.starts_with("| ") && !is_head(*at));
    rows.filter_map(|(_, line)| line[2..].split(" | ").next())
        .collect()
}
