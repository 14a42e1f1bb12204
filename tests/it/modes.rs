//! Who may read what the daemon writes: its state nobody else, whatever the umask; what it publishes whoever the
//! umask lets.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use firehose::checkpoint::STORE;

use crate::support::daemon::Site;
use crate::support::http::post_records;
use crate::support::settings::CLICKS;

const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/transforms/identity.wasm");

#[test]
fn state_is_shut_to_others_under_a_umask_that_shuts_nothing() {
    let module = format!("[[stream.clicks.transform]]\nmodule = \"{MODULE}\"\n");
    let mut site = Site::new(&(CLICKS.settings() + &module).replace("\"state\"", "\"here/state\""));
    site.under_umask("000");
    let daemon = site.start();
    put(&site);
    daemon.drain();
    // What an older daemon, or a person, has left open.
    let stream = site.path("here/state/clicks");
    fs::set_permissions(&stream, Permissions::from_mode(0o777)).unwrap();
    let daemon = site.start();
    put(&site);
    let seen = below(&site.path("here/state"));
    let compiled = site.path("here/state/compiled~");
    let (mut files, mut folders) = (0, 0);
    for path in &seen {
        if path.starts_with(&compiled) && *path != compiled {
            continue; // no records, and behind a folder that is shut
        }
        let wanted = if path.is_dir() {
            folders += 1;
            0o700
        } else {
            files += 1;
            0o600
        };
        assert_eq!(mode(path), wanted, "{}: {:o}", path.display(), mode(path));
    }
    println!("umask 000: {files} files 0600, {folders} folders 0700");
    let names: Vec<_> = seen
        .iter()
        .filter_map(|path| path.file_name()?.to_str())
        .collect();
    for name in ["lock", STORE, "journal", "spool", "compiled~"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    assert!(
        names.iter().any(|name| name.ends_with(".segment")),
        "{names:?}"
    );
    // Others go through it to what is beside.
    assert_eq!(mode(&site.path("here")), 0o777);
    daemon.drain();
    let lake = below(&site.path("lake/data"));
    let objects: Vec<_> = lake.iter().filter(|path| path.is_file()).collect();
    assert!(!objects.is_empty());
    for object in objects {
        assert_eq!(mode(object), 0o666, "{}", object.display());
    }
}

fn put(site: &Site) {
    let body = b"{\"event_type\":\"view\",\"geo\":{\"region\":\"eu\"}}\n";
    let reply = post_records(site.address, "clicks", body).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A folder and all that is below it.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut looked = 0;
    while looked < found.len() {
        if found[looked].is_dir() {
            let entries = fs::read_dir(&found[looked]).unwrap();
            found.extend(entries.map(|entry| entry.unwrap().path()));
        }
        looked += 1;
    }
    found
}
