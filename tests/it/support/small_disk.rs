//! A disk of a few megabytes that is really full when it is full: a tmpfs in a mount namespace of
//! its own, so that no privilege is needed, only leave to make user namespaces.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Mounts, says so, and keeps the namespace alive until its input ends.
const HOLD: &str =
    r#"mount -t tmpfs -o size="$2",mode=0700 tmpfs "$1" && echo mounted && exec cat"#;
/// Ways to a mount namespace, and how to join it: as anybody, or as root of a container.
const WAYS: [(&[&str], &[&str]); 2] = [
    (
        &["--map-root-user", "--mount"],
        &["--preserve-credentials", "--user", "--mount"],
    ),
    (&["--mount"], &["--mount"]),
];

/// The disk; gone when this is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    holder: Child,
    join: &'static [&'static str],
    dir: PathBuf,
}

impl SmallDisk {
    /// Mounts `bytes` bytes at `dir`, which is created. Only commands that [`SmallDisk::inside`]
    /// begins see it there.
    pub fn mount(dir: &Path, bytes: u64) -> Self {
        fs::create_dir_all(dir).unwrap();
        let mut said = String::new();
        for (make, join) in WAYS {
            let mut holder = Command::new("unshare")
                .args(make)
                .args(["sh", "-c", HOLD, "sh"])
                .args([dir.as_os_str(), &OsString::from(bytes.to_string())])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("`unshare` of util-linux must be installed");
            let mut line = String::new();
            let mut out = BufReader::new(holder.stdout.take().unwrap());
            out.read_line(&mut line).unwrap();
            if line == "mounted\n" {
                let dir = dir.to_owned();
                return Self { holder, join, dir };
            }
            holder.kill().unwrap();
            let mut errors = holder.stderr.take().unwrap();
            errors.read_to_string(&mut said).unwrap();
            holder.wait().unwrap();
        }
        panic!(
            "this test needs a small disk of its own, a tmpfs in a user namespace (`unshare \
             --map-root-user --mount`), and was refused one: allow user namespaces (on Ubuntu: \
             sysctl kernel.apparmor_restrict_unprivileged_userns=0), or run it as root.\n{said}"
        );
    }

    /// What a command line must begin with to see the disk, from the working directory `dir`.
    pub fn inside(&self, dir: &Path) -> Vec<OsString> {
        let target = self.holder.id().to_string();
        let mut line: Vec<OsString> = ["nsenter", "--target", &target]
            .iter()
            .chain(self.join)
            .chain(&["env", "-C"])
            .map(OsString::from)
            .collect();
        line.push(dir.into());
        line
    }

    /// A path on the disk, as seen from outside.
    pub fn path(&self, relative: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.dir.strip_prefix("/").unwrap())
            .join(relative)
    }

    /// Bytes that are free.
    pub fn room(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.path("")).unwrap();
        stat.f_bavail * stat.f_frsize
    }

    /// Takes every byte that is left with one more file. Returns its path.
    pub fn fill(&self) -> PathBuf {
        let path = self.path("filler");
        let mut filler = File::create(&path).unwrap();
        for len in [1 << 20, 4 << 10, 1] {
            let zeros = vec![0; len];
            loop {
                match filler.write_all(&zeros) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                    Err(error) => panic!("{}: {error}", path.display()),
                }
            }
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
