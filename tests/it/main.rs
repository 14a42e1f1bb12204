//! Integration tests: the real binary, real clients, foreign readers. One test binary, because
//! linking is a large part of a cold build.

#![expect(
    unreachable_pub,
    reason = "nothing outside can reach into a test binary"
)]
#![expect(
    clippy::print_stderr,
    reason = "a failing test shows the logs of its processes"
)]

mod dependencies;
mod house;
mod support;
