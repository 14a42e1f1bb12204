//! Producers that there is no memory for, since one client's body takes all of it, and small ones beside them.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{CLICKS, Clicks, judge, put};
use crate::support::daemon::Site;
use crate::support::http::post_records;

/// Lines of a kilobyte that nothing makes shorter.
const LINE: usize = 1 << 10;
/// What a body may come to, and how many of its lines come at once. What zstd has brought counts twice, so that is
/// more than there is under the smallest `memory_limit`.
const LINES: usize = 16 << 10;
const AT_ONCE: usize = 10 << 10;
/// How many come then, and how often: enough not to be slow, and for half a minute.
const DRIP: (usize, Duration) = (40, Duration::from_millis(200));
/// More than a small body.
const LARGE: usize = 100 << 10;

/// So many lines, a frame of their own.
fn frame(random: &mut fastrand::Rng, lines: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(b'a'..))
        .take(lines * LINE)
        .collect();
    bytes
        .iter_mut()
        .step_by(LINE)
        .for_each(|byte| *byte = b'\n');
    zstd::encode_all(&bytes[..], 1).unwrap()
}

/// Sends a body that takes all, and goes on until it is answered.
fn take_all(address: SocketAddr, is_over: &AtomicBool) -> io::Result<()> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut stream = TcpStream::connect(address)?;
    let (drip, pause) = DRIP;
    stream.set_read_timeout(Some(pause))?;
    let announced = LINES * LINE;
    let head = format!(
        "POST /streams/clicks/records HTTP/1.1\r\nhost: localhost\r\ncontent-encoding: zstd\r\n\
         content-length: {announced}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&frame(&mut random, AT_ONCE))?;
    let mut sent = AT_ONCE;
    while sent + 2 * drip < LINES && !is_over.load(Ordering::SeqCst) {
        stream.write_all(&frame(&mut random, drip))?;
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
    let calm = settings.split_once("\n[stream.clicks]").unwrap().1;
    let calm = calm
        .replace("stream.clicks", "stream.calm")
        .replace("data/", "calm/");
    let settings = format!("memory_limit = \"64MiB\"\n{settings}\n[stream.calm]{calm}");
    let site = Site::new(&settings);
    let mut daemon = site.start();
    let (address, is_over) = (site.address, AtomicBool::new(false));
    let large = [&[b'x'; LINE - 1][..], b"\n"].concat().repeat(LARGE / LINE);
    thread::scope(|scope| {
        let _over = Over(&is_over);
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                // Where others have made it give way it comes again.
                let _ = take_all(address, &is_over);
            }
        });
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    let status = put(&site, &large);
                    assert!([200, 503].contains(&status), "{status}");
                }
            });
        }
        let what = "Producers are turned away: the memory for request bodies is taken";
        judge(what, &site, &mut daemon, "clicks", || {
            let reply = post_records(address, "calm", b"{\"n\":1}\n").unwrap();
            assert_eq!(reply.status, 200, "a small one is let in");
        });
    });
    assert_eq!(put(&site, &large), 200);
    daemon.ready().unwrap();
}
