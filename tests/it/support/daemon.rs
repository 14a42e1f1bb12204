//! The real binary under test: a site (working directory, configuration, port) that outlives its
//! processes, and the process that runs there at the moment.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::http;
use super::process::peak_memory;
use super::small_disk::SmallDisk;

/// A guard against waiting for ever: far above what anything waited for takes.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// How often a daemon that should die is asked how it is: not so often that it would matter.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A working directory with a configuration; `data/state` below it survives the processes.
#[derive(Debug)]
pub struct Site {
    dir: tempfile::TempDir,
    pub address: SocketAddr,
    /// What the daemon's command line begins with.
    inside: Vec<OsString>,
}

impl Site {
    /// Lays a site. `settings` is the file's text without `[http]`; its relative paths are below
    /// the site's directory.
    pub fn new(settings: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("firehose-it-")
            .tempdir()
            .unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let site = Self {
            dir,
            address,
            inside: Vec::new(),
        };
        site.configure(settings);
        site
    }

    /// The daemon runs where this disk is seen.
    pub fn enter(&mut self, disk: &SmallDisk) {
        self.inside = disk.inside(self.dir.path());
    }

    /// The daemon runs under this umask.
    pub fn under_umask(&mut self, umask: &str) {
        let script = format!("umask {umask}; exec \"$@\"");
        self.inside = ["sh", "-c", &script, "sh"].map(OsString::from).to_vec();
    }

    /// Replaces the configuration; the next process reads it.
    pub fn configure(&self, settings: &str) {
        let http = format!("\n[http]\nlisten = \"{}\"\n", self.address);
        fs::write(self.path("firehose.toml"), format!("{settings}{http}")).unwrap();
    }

    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// Starts the daemon without waiting for anything.
    pub fn spawn(&self, environment: &[(&str, &str)]) -> Daemon {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let mut line = self.inside.clone();
        line.push(env!("CARGO_BIN_EXE_firehose").into());
        let child = Command::new(&line[0])
            .args(&line[1..])
            .args(["run", "--config", "firehose.toml"])
            .current_dir(self.dir.path())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Daemon {
            child,
            address: self.address,
        }
    }

    /// Starts the daemon and waits until it is ready.
    pub fn start(&self) -> Daemon {
        let mut daemon = self.spawn(&[]);
        if let Err(status) = daemon.ready() {
            panic!("the daemon ended before it was ready: {status}");
        }
        daemon
    }

    /// Runs another command of the binary to its end, with the site's config.
    pub fn command(&self, arguments: &[&str]) -> Ended {
        self.command_within(arguments, &[])
    }

    /// The same; it must die at this failpoint.
    pub fn command_killed_at(&self, failpoint: &str, arguments: &[&str]) {
        let ended = self.command_within(arguments, &[("FIREHOSE_KILL_AT", failpoint)]);
        assert!(was_killed(ended.status), "{failpoint}: {}", ended.text);
    }

    fn command_within(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_firehose"))
            .args(arguments)
            .current_dir(self.dir.path())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text += &String::from_utf8_lossy(&output.stderr);
        Ended {
            status: output.status,
            text,
        }
    }

    /// Runs the command with this verb that stands in backquotes in an advice, as it stands there.
    pub fn follow(&self, advice: &str, verb: &str) -> Ended {
        let begin = format!("firehose state {verb} ");
        let mut quoted = advice.split('`');
        let command = quoted.find(|command| command.starts_with(&begin));
        let command = command.unwrap_or_else(|| panic!("no {verb} in {advice}"));
        let words = shlex::split(command).unwrap();
        let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
        self.command(&words)
    }

    /// Everything that the site's processes have logged.
    pub fn log(&self) -> PathBuf {
        self.path("firehose.log")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let log = fs::read(self.log()).unwrap_or_default();
        let tail = &log[log.len().saturating_sub(16 * 1024)..];
        eprintln!(
            "--- end of the daemon's log\n{}\n---",
            String::from_utf8_lossy(tail)
        );
        if std::env::var_os("FIREHOSE_KEEP").is_some() {
            self.dir.disable_cleanup(true);
            eprintln!("kept {}", self.dir.path().display());
        }
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    status: ExitStatus,
    text: String,
}

impl Ended {
    /// What it said; it must have done what it was told.
    pub fn done(self) -> String {
        assert!(self.status.success(), "{}: {}", self.status, self.text);
        self.text
    }

    /// What it said; it must have ended with this exit code.
    pub fn refused(self, code: i32) -> String {
        assert_eq!(self.status.code(), Some(code), "{}", self.text);
        self.text
    }
}

/// A running daemon; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    address: SocketAddr,
}

impl Daemon {
    /// Waits until `/healthz` says 200.
    pub fn alive(&mut self) {
        let address = self.address;
        let is_alive = || http::get(address, "/healthz").is_ok_and(|reply| reply.status == 200);
        self.until("/healthz says 200", is_alive).unwrap();
    }

    /// Has `stream` take the lines of `body`: it opens a moment after the listener, and later on a busy machine.
    pub fn take(&mut self, stream: &str, body: &[u8]) {
        let address = self.address;
        let is_taken = || {
            let reply = http::post_records(address, stream, body).unwrap();
            let is_starting = reply.text().contains("the stream is starting");
            assert!(reply.status == 200 || is_starting, "{}", reply.text());
            reply.status == 200
        };
        self.until("the records are taken", is_taken).unwrap();
    }

    /// Waits until `/readyz` says 200. `Err`: the process ended first.
    pub fn ready(&mut self) -> Result<(), ExitStatus> {
        let address = self.address;
        self.until("/readyz says 200", || {
            http::get(address, "/readyz").is_ok_and(|reply| {
                assert!(!is_loud_stop(&reply.text()), "{}", reply.text());
                reply.status == 200
            })
        })
    }

    /// Polls `condition` until it holds. `Err`: the process ended first.
    pub fn until(
        &mut self,
        what: &str,
        mut condition: impl FnMut() -> bool,
    ) -> Result<(), ExitStatus> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Err(status);
            }
            if condition() {
                return Ok(());
            }
            assert!(begun.elapsed() < PATIENCE, "still waiting until {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let mut ended = None;
        let child = &mut self.child;
        wait_until("the daemon has ended", || {
            ended = child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for the process to be killed by itself, at a failpoint. A stream that has stopped for
    /// good will not come by there.
    pub fn wait_for_failpoint(&mut self) -> ExitStatus {
        let mut looked = Instant::now();
        let mut ended = None;
        let (child, address) = (&mut self.child, self.address);
        wait_until("the daemon has come by its failpoint", || {
            ended = child.try_wait().unwrap();
            if ended.is_none() && looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                let told = http::get(address, "/readyz").map(|reply| reply.text());
                let told = told.unwrap_or_default();
                assert!(!is_loud_stop(&told), "{told}");
            }
            ended.is_some()
        });
        ended.unwrap()
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// SIGTERM, and everything must have been delivered: exit code 0.
    pub fn drain(self) {
        let status = self.terminate();
        assert!(
            status.success(),
            "SIGTERM must end in exit code 0, was {status}"
        );
    }

    /// As [`Daemon::drain`], watching the memory: the largest resident size ever, in bytes.
    pub fn drain_measured(mut self) -> u64 {
        self.signal(Signal::TERM);
        let mut peak = 0;
        let status = loop {
            // Missing once the process is a zombie.
            peak = peak_memory(self.child.id()).unwrap_or(peak);
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(
            status.success(),
            "SIGTERM must end in exit code 0, was {status}"
        );
        peak
    }

    /// The process' number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The CPU time that it has taken so far, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        // Its name is in brackets and may have anything in it.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks = fields.split(' ').skip(11).take(2);
        let ticks: f64 = ticks.map(|ticks| ticks.parse::<f64>().unwrap()).sum();
        // Linux has told other processes a hundredth of a second a tick for ever.
        ticks / 100.0
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Whether `/readyz` tells of a stream that waits for a person to decide.
fn is_loud_stop(told: &str) -> bool {
    told.contains("\"state\":\"stopped\"")
}

/// Whether the process died by SIGKILL (ours or a failpoint's).
pub fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}

/// Polls `condition` until it holds; panics when it never does.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "still waiting until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A loopback port that nobody listens on, below the range from which the kernel picks ports for
/// outgoing connections, so that it stays free between two runs of a daemon.
pub fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(|| fastrand::u16(12_000..32_000))
        .take(1000)
        .find(is_free)
        .ok_or_else(|| io::Error::other("no free port"))
        .unwrap()
}
