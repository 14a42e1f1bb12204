//! Where the config puts state and objects: relative to its own folder, from wherever firehose is
//! started, and told where they lie elsewhere.

use std::fs;
use std::path::Path;
use std::process::Command;

use firehose::checkpoint::{CheckpointStore, LaneStores, STORE};
use firehose::disk::HostDisk;

use crate::support::command::succeed;
use crate::support::daemon::Site;
use crate::support::http::{metric, post_records};
use crate::support::lake;
use crate::support::small_disk::SmallDisk;

const SETTINGS: &str = r#"
[stream.clicks]
spool_limit = "64MiB"

[stream.clicks.source]
type = "direct-put"
journal_limit = "8MiB"

[stream.clicks.buffering]
interval = "900s"

[stream.clicks.destination]
type = "folder"
path = "lake"
prefix = "data/"
error_prefix = "errors/"
"#;

#[test]
fn a_config_means_the_same_from_wherever_it_is_named() {
    let site = Site::new(SETTINGS);
    accept_one(&site, 1);
    fs::create_dir(site.path("elsewhere")).unwrap();
    // Open batches are of the same folder, however the config that has it is named.
    for (dir, config) in [
        ("elsewhere", "../firehose.toml".to_owned()),
        ("", site.path("firehose.toml").display().to_string()),
        (
            "elsewhere",
            site.path("./elsewhere/../firehose.toml")
                .display()
                .to_string(),
        ),
    ] {
        let listed = in_folder(&site, dir, &["state", "list", "--config", &config]);
        let held = format!(
            "holds 1 records (7B) in 1 open batches and 0 waiting objects, 0 records (0B) in the \
             journal, for folder:{}\n",
            site.path("lake").canonicalize().unwrap().display()
        );
        assert!(listed.contains(&held), "{listed}");
    }
    let drain = ["state", "drain", "clicks", "--config"];
    in_folder(
        &site,
        "elsewhere",
        &[&drain[..], &["../firehose.toml"]].concat(),
    );
    assert_eq!(
        lake::lines(&site.path("lake"), "data"),
        [b"{\"n\":1}".to_vec()]
    );
    assert_eq!(fs::read_dir(site.path("elsewhere")).unwrap().count(), 0);
}

#[test]
fn state_and_objects_that_lie_where_they_used_to_are_told_before_anything_begins_anew() {
    let site = Site::new(SETTINGS);
    accept_one(&site, 1);
    // As it was: the config in another folder than the one that firehose is started in.
    fs::create_dir(site.path("conf")).unwrap();
    let text = fs::read_to_string(site.path("firehose.toml")).unwrap();
    let config = site.path("conf/firehose.toml");
    fs::write(&config, &text).unwrap();
    let here = site.path("").canonicalize().unwrap();
    let (old, new) = (here.join("data/state"), here.join("conf/data/state"));
    for command in [
        &["run"][..],
        &["check"],
        &["state", "list"],
        &["state", "drain", "clicks"],
    ] {
        let arguments = [command, &["--config", "conf/firehose.toml"]].concat();
        let refused = site.command(&arguments).refused(2);
        for told in [
            format!("`state_dir` is {}, which holds no state yet", new.display()),
            format!("write state_dir = \"{}\"", old.display()),
            format!("`path` is {}", here.join("conf/lake").display()),
            format!("write path = \"{}\"", here.join("lake").display()),
            "conf/firehose.toml:1:1: ".to_owned(),
            "conf/firehose.toml:14:8: ".to_owned(),
        ] {
            assert!(refused.contains(&told), "{told} in {refused}");
        }
        assert!(!new.exists(), "{command:?} has begun a state");
    }
    // The advice, to the letter.
    let absolute = |state: &std::path::Path, lake: &std::path::Path| {
        let text = text.replace("\"lake\"", &format!("\"{}\"", lake.display()));
        let text = format!("state_dir = \"{}\"\n{text}", state.display());
        fs::write(&config, text).unwrap();
    };
    absolute(&old, &here.join("lake"));
    let drain = ["state", "drain", "clicks", "--config", "conf/firehose.toml"];
    in_folder(&site, "", &drain);
    assert_eq!(
        lake::lines(&site.path("lake"), "data"),
        [b"{\"n\":1}".to_vec()]
    );
    // Or another place altogether.
    absolute(&new, &here.join("conf/lake"));
    let checked = site
        .command(&["check", "--config", "conf/firehose.toml"])
        .done();
    assert!(checked.contains("is valid"), "{checked}");
    // In the config's own folder nothing is in doubt.
    fs::write(&config, &text).unwrap();
    for config in ["firehose.toml", "../conf/firehose.toml"] {
        let listed = in_folder(&site, "conf", &["state", "list", "--config", config]);
        assert!(listed.contains("no stream has state"), "{listed}");
    }
}

fn all_to(store: &str) -> LaneStores {
    let [data, errors, backup] = [store; 3].map(str::to_owned);
    LaneStores {
        data,
        errors,
        backup,
    }
}

/// A state from before names of folders were whole.
#[test]
fn a_batch_of_a_folder_with_a_relative_name_goes_on_in_the_one_that_it_meant() {
    let site = Site::new(SETTINGS);
    accept_one(&site, 1);
    let disk = HostDisk::new(site.path("data/state/clicks")).unwrap();
    let (store, _) = CheckpointStore::open(&disk, Path::new(STORE), 0).unwrap();
    assert_eq!(store.retarget(&all_to("folder:lake")).unwrap(), (1, 0));
    drop(store);
    let listed = site.command(&["state", "list"]).done();
    assert!(listed.contains("for folder:lake\n"), "{listed}");
    site.start().drain();
    assert_eq!(
        lake::lines(&site.path("lake"), "data"),
        [b"{\"n\":1}".to_vec()]
    );
    // One that means another folder is another destination.
    accept_one(&site, 2);
    let (store, _) = CheckpointStore::open(&disk, Path::new(STORE), 0).unwrap();
    store.retarget(&all_to("folder:pond")).unwrap();
    drop(store);
    let stranded = site.command(&["state", "drain", "clicks"]).refused(1);
    let told = "wait for another destination than folder:";
    assert!(
        stranded.contains(told) && stranded.contains(": folder:pond"),
        "{stranded}"
    );
    // Nobody knows what was in a folder that is not there.
    let retarget = ["state", "retarget", "clicks"];
    let refused = site.command(&retarget).refused(2);
    assert!(refused.contains("pond has no .firehose-tmp"), "{refused}");
    site.command(&[&retarget[..], &["--unasked"]].concat())
        .done();
    site.start().drain();
    assert_eq!(lake::lines(&site.path("lake"), "data").len(), 2);
}

#[test]
fn two_states_are_told_apart_by_what_they_hold() {
    let site = Site::new(SETTINGS);
    accept_one(&site, 1);
    fs::create_dir(site.path("conf")).unwrap();
    let text = fs::read_to_string(site.path("firehose.toml")).unwrap();
    fs::write(site.path("conf/firehose.toml"), text).unwrap();
    // One was begun in the config's folder, too.
    let moved = site.path("conf/data/state/clicks/journal");
    fs::create_dir_all(moved).unwrap();
    fs::create_dir_all(site.path("conf/lake/.firehose-tmp")).unwrap();
    let check = ["check", "--config", "conf/firehose.toml"];
    let refused = site.command(&check).refused(2);
    assert!(
        refused.contains("which holds undelivered records"),
        "{refused}"
    );
    site.command(&["state", "drain", "clicks"]).done();
    let warned = site.command(&check).done();
    assert!(
        warned.contains("which holds nothing undelivered"),
        "{warned}"
    );
    // That of a daemon that runs is that daemon's.
    let daemon = site.start();
    let reply = post_records(site.address, "clicks", b"{\"n\":2}\n").unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let checked = site.command(&check).done();
    assert!(!checked.contains("there is state in"), "{checked}");
    fs::remove_dir_all(site.path("conf/data")).unwrap();
    fs::remove_dir_all(site.path("conf/lake")).unwrap();
    site.command(&check).done();
    daemon.drain();
}

#[test]
fn a_disk_that_is_read_only_is_a_fault_of_state_dir_and_path() {
    let site = Site::new(
        &format!("state_dir = \"disk/state\"\n{SETTINGS}").replace("\"lake\"", "\"disk/lake\""),
    );
    let disk = SmallDisk::mount(&site.path("disk"), 8 << 20);
    let inside = |script: &str| {
        let mut line = disk.inside(&site.path(""));
        line.extend(["sh", "-c", script, env!("CARGO_BIN_EXE_firehose")].map(Into::into));
        Command::new(&line[0]).args(&line[1..]).output().unwrap()
    };
    let output = inside("\"$0\" check");
    assert!(output.status.success(), "{output:?}");
    for (verb, lines) in [("check", &[2, 15][..]), ("run", &[2])] {
        let output = inside(&format!("mount -o remount,ro disk && exec \"$0\" {verb}"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(
            said.matches("Read-only file system").count(),
            lines.len(),
            "{said}"
        );
    }
}

/// What a command says that is run in a folder of the site.
fn in_folder(site: &Site, dir: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
    command.args(arguments).current_dir(site.path(dir));
    String::from_utf8(succeed(&mut command)).unwrap()
}

/// Accepts a record and dies when it is in an open batch.
fn accept_one(site: &Site, n: u32) {
    let mut daemon = site.start();
    let reply = post_records(
        site.address,
        "clicks",
        format!("{{\"n\":{n}}}\n").as_bytes(),
    );
    assert_eq!(reply.unwrap().status, 200);
    let name = "firehose_checkpoint_seconds_count{stream=\"clicks\"}";
    daemon
        .until("the batch is in a checkpoint", || {
            metric(site.address, name) > 0.0
        })
        .unwrap();
    daemon.kill();
}
