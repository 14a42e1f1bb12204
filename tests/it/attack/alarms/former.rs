//! Records that wait in the journal from before the start, which nobody has read yet.

use std::fs;

use super::{CLICKS, Clicks, OLDEST, gauge, put};
use crate::support::campaign::say;
use crate::transforms::{HOSTILE, build};

const DAY_S: f64 = 86_400.0;

#[test]
fn what_nobody_has_read_is_as_old_as_its_arrival_after_a_restart() {
    let transform = "[[stream.clicks.transform]]\nmodule = \"slow.wasm\"\ntimeout = \"5m\"\n";
    let site = Clicks {
        transform,
        ..CLICKS
    }
    .site();
    build(&site, "slow.wasm", HOSTILE);
    let step = site.path("clock-step");
    let clock = [("FIREHOSE_CLOCK_STEP", step.to_str().unwrap())];
    fs::write(&step, "-86400000").unwrap();
    let mut daemon = site.spawn(&clock);
    daemon.ready().unwrap();
    assert_eq!(put(&site, b"loop\n"), 200);
    let is_counted = || gauge(&site, OLDEST) > 0.0;
    daemon.until("it is seen to wait", is_counted).unwrap();
    let young = gauge(&site, OLDEST);
    assert!(young < DAY_S / 2.0, "steady time: {young} s");
    daemon.kill();

    // A day later by the clock.
    fs::write(&step, "0").unwrap();
    let mut daemon = site.spawn(&clock);
    daemon.alive();
    let is_old = || gauge(&site, OLDEST) >= DAY_S;
    daemon.until("it is a day old", is_old).unwrap();
    let old = gauge(&site, OLDEST);
    daemon.kill();

    // And with a clock that has been set back since: it has just come, and is never none.
    fs::write(&step, "-172800000").unwrap();
    let mut daemon = site.spawn(&clock);
    daemon.alive();
    daemon.until("it is seen to wait", is_counted).unwrap();
    let back = gauge(&site, OLDEST);
    assert!(back < DAY_S / 2.0, "{back} s");
    say(&format!(
        "alarms: an unread record is {young} s old, {old} s after a restart a day later, {back} s with a \
         clock set back two days"
    ));
}
