//! Whether the CPU has what the binary was compiled for.
//!
//! `is_x86_feature_detected!` answers `true` without looking for every feature that the compiler
//! was told to use, so the kernel is asked. Nothing here may itself need such a feature: plain
//! reads and comparisons, before anything else runs.

use std::process::ExitCode;

use firehose::cli::Exit;

/// What `x86-64-v3` adds to the plain instruction set, by the kernel's names.
#[cfg(target_feature = "avx2")]
const NEEDED: [&str; 8] = ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "abm"];

/// The first feature that is missing; `None` also when the kernel does not tell.
#[cfg(target_feature = "avx2")]
#[inline(never)]
pub(crate) fn missing() -> Option<&'static str> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let flags = info.lines().find(|line| line.starts_with("flags"))?;
    NEEDED
        .into_iter()
        .find(|needed| !flags.split(' ').any(|flag| flag == *needed))
}

/// Built for the plain instruction set of its target: nothing can be missing.
#[cfg(not(target_feature = "avx2"))]
pub(crate) const fn missing() -> Option<&'static str> {
    None
}

/// Says what is missing and what to do.
#[inline(never)]
pub(crate) fn refuse(feature: &str) -> ExitCode {
    use std::io::Write as _;

    // Nobody is left to be told when this fails.
    let _ = writeln!(
        std::io::stderr(),
        "error: this CPU has no {feature}: the binary is built for x86-64-v3 (Intel Haswell, AMD \
         Zen and later); on a virtual machine pass the host's CPU through, or build for older \
         ones by removing target-cpu from .cargo/config.toml"
    );
    Exit::Failed.into()
}
