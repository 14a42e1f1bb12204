//! Producers that there is no memory for.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{CLICKS, Clicks, judge, put};
use crate::support::daemon::Site;

/// The lines of a body that takes all memory there is for bodies under the smallest `memory_limit`, as it is
/// decoded; and how many of them come at once.
const LINES: usize = (16 << 10) - 1;
const AT_ONCE: usize = 9 << 10;
const LINE: usize = 1 << 10;
/// How many come then, and how often: it is not slow, on a busy machine either, and comes to its end after a minute.
const DRIP: (usize, Duration) = (33, Duration::from_millis(300));
/// Producers, and how long after each other they begin: a request waits for ten seconds, and the refusals are
/// to come closer than `stalled_after`.
const PRODUCERS: (u32, Duration) = (4, Duration::from_millis(2500));

/// Sends a body that takes all, and goes on until it is answered.
fn take_all(address: SocketAddr, is_over: &AtomicBool) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    let (drip, pause) = DRIP;
    stream.set_read_timeout(Some(pause))?;
    let head = format!(
        "POST /streams/clicks/records HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        LINES * LINE
    );
    stream.write_all(head.as_bytes())?;
    let line = [&[b'x'; LINE - 1][..], b"\n"].concat();
    stream.write_all(&line.repeat(AT_ONCE))?;
    let mut sent = AT_ONCE;
    while sent + drip < LINES && !is_over.load(Ordering::SeqCst) {
        stream.write_all(&line.repeat(drip))?;
        sent += drip;
        // An answer, or the end, is none of the errors that say that nothing has come.
        if stream.read(&mut [0]).is_ok() {
            break;
        }
    }
    Ok(())
}

/// Ends the threads, however the test ends.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn bodies_that_there_is_no_memory_for() {
    let settings = Clicks {
        stalled_after: "5s",
        ..CLICKS
    }
    .settings();
    let site = Site::new(&format!("memory_limit = \"64MiB\"\n{settings}"));
    let mut daemon = site.start();
    let (address, is_over) = (site.address, AtomicBool::new(false));
    thread::scope(|scope| {
        let _over = Over(&is_over);
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                // Where others have made it give way it comes again.
                let _ = take_all(address, &is_over);
            }
        });
        let (count, apart) = PRODUCERS;
        for number in 0..count {
            let (site, is_over) = (&site, &is_over);
            scope.spawn(move || {
                thread::sleep(apart * number);
                while !is_over.load(Ordering::SeqCst) {
                    let status = put(site, b"{\"n\":1}\n");
                    assert!([200, 503].contains(&status), "{status}");
                }
            });
        }
        let what = "Producers are turned away: the memory for request bodies is taken";
        judge(what, &site, &mut daemon, "clicks", || {});
    });
    assert_eq!(put(&site, b"{\"n\":2}\n"), 200);
    daemon.ready().unwrap();
}
