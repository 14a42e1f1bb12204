//! Which formats a backup may have: those that carry every record, and none that only says so.

use firehose::config::{self, FormatKind, FormatSettings, FormatTable};
use firehose::format::{Head, Shape};
use firehose::registry::registry;

use super::{compile, counted, fits, formats, kinds, next, staged};

/// A format without a schema, of which a record can fail all the same.
#[derive(Debug)]
struct Choosy;

impl FormatKind for Choosy {
    fn word(&self) -> &'static str {
        "choosy"
    }

    fn keys(&self) -> &'static [&'static str] {
        &[]
    }

    fn carries_all(&self) -> bool {
        false
    }

    fn read(&self, table: &mut FormatTable<'_, '_>) -> Option<FormatSettings> {
        counted::CountedKind.read(table)
    }

    fn of_row(&self, _row: &str) -> Option<FormatSettings> {
        None
    }
}

/// A backup holds all that has come.
#[test]
fn a_backup_has_a_format_that_carries_all_or_is_refused() {
    let mut registry = registry();
    registry
        .formats
        .extend([&counted::CountedKind as &dyn FormatKind, &Choosy]);
    for kind in registry.formats.clone() {
        let word = kind.word();
        let config = format!(
            "[stream.c]\nsource.type = \"direct-put\"\nbackup.format.type = \"{word}\"\n\
             destination = {{ type = \"folder\", path = \"out\" }}"
        );
        let read = config::parse(config, "firehose.toml".as_ref(), &|_| None, &registry);
        let refused = format!("unknown word \"{word}\" for `type` in [stream.c.backup.format]");
        match read {
            Ok(_) => assert!(kind.carries_all(), "{word}: records would be lost"),
            Err(faults) => {
                let told = faults.to_string();
                assert!(told.contains(&refused) && !kind.carries_all(), "{told}");
            }
        }
    }
}

#[test]
fn what_is_said_to_carry_all_does() {
    let odd: [&[u8]; 5] = [
        b"no json",
        b"{\"id\":",
        b"\xff\0\x80",
        b"{\"id\":\"x\"}",
        b"{}\n{}",
    ];
    let mut held = 0;
    for (settings, _) in formats() {
        let format = compile(&settings);
        let mut kinds = kinds().into_iter();
        let kind = kinds.find(|kind| kind.word() == settings.word()).unwrap();
        assert!(
            !(kind.carries_all() && settings.reads_json()),
            "{settings:?}"
        );
        if !kind.carries_all() || format.shape() == Shape::Blocks {
            continue; // In blocks everything is carried as it is staged.
        }
        let mut raw = Vec::new();
        for (id, data) in odd.iter().enumerate() {
            staged(&format, data, id as u64, &mut raw);
        }
        let (mut encoder, mut next) = (format.encoder(), next([raw.into()]));
        let (head, mut out) = (Head::default(), Vec::new());
        let encoded = format.encode_object(&mut encoder, &head, &mut next, &mut out, &mut fits);
        assert_eq!(encoded.unwrap(), odd.len() as u64, "{settings:?}");
        held += 1;
    }
    assert!(held > 0);
}
