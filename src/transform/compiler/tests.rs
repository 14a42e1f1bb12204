//! What a parent makes of answers, and of children that give none.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use super::parent::{post_mortem, read};
use super::*;

const LIMITS: CompileLimits = CompileLimits {
    memory: 256 << 20,
    timeout: Duration::from_secs(5),
};

fn refusal(answer: &[u8]) -> String {
    read(answer.to_vec(), &LIMITS).err().unwrap().to_string()
}

#[test]
fn an_answer_brings_the_component_or_says_why_there_is_none() {
    let answer = CompilerReply::Compiled {
        kind: ComponentKind::Core,
        instances: 7,
        cached: true,
        unkept: None,
        bytes: 3,
    };
    let line = serde_json::to_vec(&answer).unwrap();
    let whole = [&line[..], b"\n\n\0a"].concat();
    let ChildResult {
        prepared, cached, ..
    } = read(whole.clone(), &LIMITS).unwrap();
    assert_eq!(
        (prepared.kind, prepared.instances, cached),
        (ComponentKind::Core, 7, true)
    );
    assert_eq!(prepared.component, b"\n\0a");
    let refused = serde_json::to_vec(&CompilerReply::Refused("no\nway".to_owned())).unwrap();
    assert_eq!(refusal(&[&refused[..], b"\n"].concat()), "no\nway");
    // Whatever else a child says is no answer.
    for end in 0..whole.len() {
        assert!(refusal(&whole[..end]).contains("cannot be read"), "{end}");
    }
    let longer = [&whole[..], b"b"].concat();
    for garbage in [&longer[..], b"\n", b"{}\n", b"\"refused\"\n", b"\xff\n\0"] {
        assert!(refusal(garbage).contains("cannot be read"), "{garbage:?}");
    }
}

#[test]
fn how_a_child_has_ended_is_told_with_the_setting_that_would_help() {
    let ended = |raw, said: &[u8]| post_mortem(ExitStatus::from_raw(raw), said, &LIMITS);
    let died = |raw, said: &[u8]| ended(raw, said).cause;
    let out_of_memory = b"memory allocation of 12 bytes failed\n";
    assert!(died(6, out_of_memory).contains("compile_memory = \"256MiB\""));
    assert!(died(24, b"").contains("compile_timeout = \"5s\""));
    assert!(died(9, b"").contains("SIGKILL"));
    let broken = died(11, b"first\nlast words\n\n");
    assert!(broken.contains("broke on it") && broken.contains("last words"));
    assert!(!broken.contains("first"), "{broken}");
    let exited = died(101 << 8, b"");
    assert!(exited.contains("101"), "{exited}");
    let refused = CompilerReply::Refused("mmap: Cannot allocate memory (os error 12)".to_owned());
    let refused = serde_json::to_vec(&refused).unwrap();
    let refused = refusal(&[&refused[..], b"\n"].concat());
    assert!(refused.contains("compile_memory = \"256MiB\""), "{refused}");
}

#[test]
fn what_is_not_the_modules_fault_passes() {
    let ended = |raw, said: &[u8]| post_mortem(ExitStatus::from_raw(raw), said, &LIMITS);
    let panicked = 101 << 8;
    for (raw, said) in [
        (24, &b""[..]),
        (6, b"memory allocation of 12 bytes failed"),
        (6, b"broken"),
        (11, b""),
        (25, b""),
        (panicked, b"index out of bounds"),
    ] {
        let fault = ended(raw, said);
        assert!(!fault.passes, "{fault:?}");
    }
    for (raw, said) in [
        (9, &b""[..]),
        (1, b""),
        (15, b""),
        (1 << 8, b"the compiler cannot limit its memory"),
        (panicked, b"Resource temporarily unavailable (os error 11)"),
        (6, b"Too many open files (os error 24)"),
    ] {
        let fault = ended(raw, said);
        assert!(fault.passes, "{fault:?}");
    }
}
