//! Whether the CPU has what the binary was compiled for.
//!
//! `is_x86_feature_detected!` answers `true` without looking for every feature that the compiler
//! was told to use, so the kernel is asked. This very code is compiled with those features too:
//! it moves no value wider than a register and leaves searching to plain loops, so that the
//! compiler has no use for them before they are known to be there.

#![expect(
    clippy::disallowed_methods,
    reason = "what the CPU can do stands in a file"
)]

use std::process::ExitCode;

use firehose::cli::Exit;

/// What `x86-64-v3` adds to the plain instruction set, by the kernel's names.
#[cfg(target_feature = "avx2")]
const NEEDED: [&str; 8] = ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "abm"];

/// The first feature that is missing; `None` also when the kernel does not tell.
#[cfg(target_feature = "avx2")]
#[inline(never)]
pub(crate) fn missing() -> Option<&'static str> {
    let info = std::fs::read("/proc/cpuinfo");
    let Ok(info) = &info else { return None };
    let mut next = 0;
    while next < NEEDED.len() {
        if !has_word(info, NEEDED[next].as_bytes()) {
            return Some(NEEDED[next]);
        }
        next += 1;
    }
    None
}

/// Whether `word` stands in `text` between white space.
#[cfg(target_feature = "avx2")]
#[inline(never)]
fn has_word(text: &[u8], word: &[u8]) -> bool {
    let mut at = 0;
    while let Some(rest) = text.get(at..)
        && rest.len() > word.len() + 1
    {
        if rest[0] == b' ' && rest[1..].starts_with(word) && rest[word.len() + 1] <= b' ' {
            return true;
        }
        at += 1;
    }
    false
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

#[cfg(all(test, target_feature = "avx2"))]
mod tests {
    use super::{has_word, missing};

    #[test]
    fn a_feature_is_a_whole_word() {
        let flags = b"flags\t\t: fpu avx512f abm\nbugs\t\t: none\n";
        assert!(has_word(flags, b"fpu") && has_word(flags, b"abm"));
        assert!(!has_word(flags, b"avx") && !has_word(flags, b"vx512f"));
        assert!(!has_word(b"", b"avx"));
    }

    #[test]
    fn the_cpu_that_runs_this_test_has_everything() {
        assert_eq!(missing(), None);
    }
}
