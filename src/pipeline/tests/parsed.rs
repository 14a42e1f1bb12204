//! Records of text, several lines each, of which some do not parse, and others have no key once they are parsed.

use std::path::Path;

use crate::config::ParserSettings;

/// Lines of a record, at most.
pub(super) const LINES: usize = 5;

pub(super) fn parser() -> ParserSettings {
    let text = "[stream.c]\nsource.type = \"direct-put\"\n\
                parse = { type = \"csv\", columns = [\"k:string?\", \"id:int\", \"pad\"] }\n\
                destination = { type = \"folder\", path = \"out\" }\n";
    let registry = crate::registry::registry();
    let loaded =
        crate::config::parse(text, Path::new("firehose.toml"), &|_| None, &registry).unwrap();
    loaded.config.streams["c"].parser.clone().unwrap()
}

/// The line of a record with this key. What is to be found of one that does not parse is JSON, too.
pub(super) fn line(id: u64, key: &str, value: u8, pad: &str) -> String {
    match key {
        _ if id % 50 == 24 => format!("{{\"id\":{id}}}"),
        "k" => format!("{value},{id},{pad}"),
        _ => format!(",{id},{pad}"),
    }
}
