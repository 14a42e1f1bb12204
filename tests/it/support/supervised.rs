//! A foreign server that ends with the tests, however those end.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use super::script::script;

/// A server with a directory of its own, for its log and its data.
#[derive(Debug)]
pub struct Supervised {
    dir: tempfile::TempDir,
    supervisor: Mutex<Child>,
}

impl Supervised {
    /// Starts a server; `command` adds its command line, which may name its directory.
    pub fn start(name: &str, command: impl FnOnce(&mut Command, &Path)) -> Self {
        let dir = tempfile::Builder::new()
            .prefix(&format!("firehose-{name}-"))
            .tempdir()
            .unwrap();
        let supervisor = Mutex::new(launch(dir.path(), command));
        Self { dir, supervisor }
    }

    /// Ends it as a crash would, and starts it again over what it has on disk.
    pub fn restart(&self, command: impl FnOnce(&mut Command, &Path)) {
        let mut supervisor = self.supervisor.lock().unwrap();
        end(&mut supervisor);
        *supervisor = launch(self.dir.path(), command);
    }

    /// What it was asked for; panics with its log where it did not give that.
    pub fn must<T>(&self, given: Result<T, String>) -> T {
        given.unwrap_or_else(|error| {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            panic!("{error}\n--- the server's log\n{log}")
        })
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        end(&mut self.supervisor.lock().unwrap());
    }
}

fn launch(dir: &Path, command: impl FnOnce(&mut Command, &Path)) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.join("log"))
        .unwrap();
    let mut supervise = script("support/supervise.py");
    command(&mut supervise, dir);
    supervise
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn end(supervisor: &mut Child) {
    drop(supervisor.stdin.take());
    let _ = supervisor.wait();
}
