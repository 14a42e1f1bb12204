//! Places where a test can kill the process. Without the `failpoints` feature, nothing is left.

#![cfg_attr(
    feature = "failpoints",
    expect(
        clippy::disallowed_methods,
        reason = "a test that kills leaves a line behind"
    )
)]

/// Dies at once, as by SIGKILL, when the environment asks for it:
/// `FIREHOSE_KILL_AT=name:count` means the `count`-th time that `name` is passed.
///
/// The name of the place is written to the file named by `FIREHOSE_KILL_LOG` first, so that a
/// test can count which places it has hit.
#[cfg(feature = "failpoints")]
pub fn hit(name: &'static str) {
    use std::io::Write as _;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    static ASKED: OnceLock<Option<(String, AtomicI64)>> = OnceLock::new();
    let asked = ASKED.get_or_init(|| {
        let asked = std::env::var("FIREHOSE_KILL_AT").ok()?;
        let (name, count) = asked.rsplit_once(':')?;
        Some((name.to_owned(), AtomicI64::new(count.parse().ok()?)))
    });
    let Some((asked, left)) = asked else { return };
    if asked != name || left.fetch_sub(1, Ordering::SeqCst) != 1 {
        return;
    }
    if let Ok(path) = std::env::var("FIREHOSE_KILL_LOG")
        && let Ok(mut log) = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
    {
        let _ = writeln!(log, "{name}");
    }
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    loop {
        std::thread::park();
    }
}

/// Dies here when a test asks for it; nothing in ordinary builds.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub const fn hit(_name: &'static str) {}
