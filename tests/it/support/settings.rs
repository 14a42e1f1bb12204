//! Settings that most tests share: one stream into a folder, as plain lines.

use super::event::{ERROR_PREFIX, PREFIX, QUERY};

/// A stream from Direct PUT into the folder `lake`; errors go below [`ERROR_PREFIX`].
#[derive(Clone, Copy, Debug)]
pub struct ToFolder<'a> {
    pub stream: &'a str,
    /// The jq query of its partitions.
    pub query: &'a str,
    pub prefix: &'a str,
    /// How long a batch is open; its size is out of reach.
    pub interval: &'a str,
    /// The lines of the format's table.
    pub format: &'a str,
}

/// The events of [`super::event`], delivered when the daemon is drained.
pub const CLICKS: ToFolder<'_> = ToFolder {
    stream: "clicks",
    query: QUERY,
    prefix: PREFIX,
    interval: "900s",
    format: "type = \"json\"\ncompression = \"none\"",
};

impl ToFolder<'_> {
    /// The text of a configuration with this stream; more may stand before it.
    pub fn settings(&self) -> String {
        let Self {
            stream,
            query,
            prefix,
            interval,
            format,
        } = self;
        format!(
            r#"
state_dir = "state"

[stream.{stream}.source]
type = "direct-put"

[stream.{stream}.partitioning]
query = '{query}'

[stream.{stream}.buffering]
size = "64MiB"
interval = "{interval}"

[stream.{stream}.format]
{format}

[stream.{stream}.destination]
type = "folder"
path = "lake"
prefix = "{prefix}"
error_prefix = "{ERROR_PREFIX}"
"#
        )
    }
}
