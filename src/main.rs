//! The `firehose` binary: allocator, log, arguments, exit code.

use std::io::{IsTerminal as _, Write};
use std::process::ExitCode;

use firehose::cli::{self, Exit};
use firehose::error::with_causes;
use firehose::printable::Printable;
use firehose::telemetry::logging;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator asks for huge pages, which the kernel clears whole although little of them is
    // used: with them, sorting 0.2 GB into 96 partitions took 20 instead of 16 CPU-seconds a GB
    // and 509 instead of 270 MB. Where the kernel refuses, nothing is lost but that.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let (out, err) = (std::io::stdout(), std::io::stderr());
    let (to_person, told_person) = (out.is_terminal(), err.is_terminal());
    let mut out = writer(out, to_person);
    let mut err = writer(err, told_person);
    if let Err(fault) = logging::init() {
        // Nobody is left to be told when this fails.
        let _ = writeln!(err, "error: {}", with_causes(&fault));
        return Exit::Usage.into();
    }
    cli::run(std::env::args_os(), &mut *out, &mut *err).into()
}

/// A person's terminal is steered by nothing that we show; to a program we write what there is.
fn writer(to: impl Write + 'static, is_terminal: bool) -> Box<dyn Write> {
    if is_terminal {
        Box::new(Printable::new(to))
    } else {
        Box::new(to)
    }
}
