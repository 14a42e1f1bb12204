//! The bound on an evaluation: fuel for its steps and for all it makes or looks at, and native
//! stack.
//!
//! jaq asks for its table of terms at every step, and every value it makes, compares, prints or
//! iterates is ours ([`super::value`]); both come through here. Fuel is not time: a slow machine
//! fails no record that a fast one passes. jaq has no way out of an evaluation that `try`, `//` or
//! `first` could not hold back, so running dry unwinds the stack, quietly and up to [`bounded`].

use std::any::Any;
use std::borrow::Cow;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::message;

/// Fuel of one evaluation: a step, an element or 64 bytes looked at or 16 bytes made cost one, and
/// so do 128 steps of a regular expression (`matcher`).
/// Some hundredths of a second, at most two tenths; the text it makes is a few megabytes long.
pub const FUEL: u64 = 300_000;

/// Native stack of one evaluation, in bytes. Threads that evaluate need twice that (Rust's
/// default is 2 MiB).
const STACK_BYTES_MAX: usize = 1 << 20;

thread_local! {
    static FUEL_LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
    static BURNED: Cell<u64> = const { Cell::new(0) };
    static STACK_BASE: Cell<usize> = const { Cell::new(0) };
    static IN_PATH: Cell<bool> = const { Cell::new(false) };
}

/// Fuel for a step into nothing while paths are collected.
const PATH_STEP: usize = 512;

/// Why an evaluation was stopped.
struct StoppedEvaluation(&'static str);

/// Burns fuel.
pub(super) fn charge(units: usize) {
    let left = FUEL_LEFT.get().checked_sub(units as u64);
    match left {
        Some(left) => FUEL_LEFT.set(left),
        None => stop("the query takes too many steps or makes too much data"),
    }
}

/// Burns the fuel of looking a key up, which reads all of it.
pub(super) fn charge_key(key: &[u8]) {
    charge(key.len() / 64);
}

/// What all evaluations on this thread have burned; what counts is the difference of two times.
pub fn burned() -> u64 {
    BURNED.get()
}

/// Burns the fuel of one step and looks at the stack.
pub(super) fn step() {
    charge(1);
    if STACK_BASE.get().saturating_sub(stack_pointer()) > STACK_BYTES_MAX {
        stop("the query recurses too deep");
    }
}

/// Runs what collects paths, as `path(f)` does.
///
/// jaq keeps a path as a linked list that is dropped by recursion. A path through real values is
/// as short as they are shallow, but `null` can be indexed and an array sliced for ever, so such
/// steps burn much fuel there ([`step_into_nothing`]).
pub(super) fn in_path<T>(collect: impl FnOnce() -> T) -> T {
    let outer = IN_PATH.replace(true);
    let done = collect();
    IN_PATH.set(outer);
    done
}

/// Burns the fuel of indexing `null` or slicing.
pub(super) fn step_into_nothing() {
    charge(if IN_PATH.get() { PATH_STEP } else { 1 });
}

/// Ends the evaluation.
pub(super) fn stop(why: &'static str) -> ! {
    resume_unwind(Box::new(StoppedEvaluation(why)));
}

/// Runs an evaluation within the bounds; the error says which one it hit, or why it panicked.
pub(super) fn bounded<T>(evaluate: impl FnOnce() -> T) -> Result<T, Cow<'static, str>> {
    FUEL_LEFT.set(FUEL);
    STACK_BASE.set(stack_pointer());
    // Only caches outlive an evaluation: compiled patterns, which are stored whole, and the memory of searches,
    // which each search clears first.
    let done = catch_unwind(AssertUnwindSafe(evaluate));
    let left = FUEL_LEFT.replace(u64::MAX);
    let spent = if done.is_ok() { FUEL - left } else { FUEL };
    BURNED.set(burned().wrapping_add(spent));
    STACK_BASE.set(0);
    IN_PATH.set(false);
    done.map_err(|payload| match payload.downcast::<StoppedEvaluation>() {
        Ok(stopped) => stopped.0.into(),
        Err(payload) => panicked(&*payload).into(),
    })
}

/// Tells of a panic, with its message if it has one.
fn panicked(payload: &(dyn Any + Send)) -> String {
    let owned = || payload.downcast_ref::<String>().map(String::as_str);
    match payload.downcast_ref::<&str>().copied().or_else(owned) {
        Some(message) => format!("the query failed inside: {}", message::cut(&message)),
        None => "the query failed inside".to_owned(),
    }
}

/// About where the stack ends now (it grows downwards).
#[inline(never)]
fn stack_pointer() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::{bounded, charge};

    #[test]
    fn a_panic_is_told_with_its_message_which_is_cut() {
        let index = std::hint::black_box(7);
        let told = bounded(|| panic!("no item {index}"));
        assert_eq!(
            told,
            Err::<(), _>("the query failed inside: no item 7".into())
        );
        let told = bounded(|| panic!("no items"));
        assert_eq!(
            told,
            Err::<(), _>("the query failed inside: no items".into())
        );
        let told = bounded(|| panic_any(7));
        assert_eq!(told, Err::<(), _>("the query failed inside".into()));
        let told = bounded(|| panic!("{}", "é".repeat(1000))).map(|()| "passed");
        let expected = format!("the query failed inside: {}…", "é".repeat(100));
        assert_eq!(told, Err(expected.into()));
        // Nothing of it is left for the next evaluation.
        assert_eq!(bounded(|| charge(1)), Ok(()));
    }
}
