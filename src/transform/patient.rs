//! The version of a module for long loops: made when one takes long, on a thread of its own, so that calls
//! go on meanwhile. Who needs it waits; a failure that passes is tried again.

#![expect(clippy::disallowed_methods, reason = "what calls take is measured")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::compiler::NotCompiled;

/// How often it is looked whether it is time to try again.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The version, there or not; of type `T` so that this can be tested without a compiler.
pub(super) struct Patient<T> {
    made: OnceLock<T>,
    making: Mutex<Making>,
    ended: Condvar,
}

/// How far it has come.
#[derive(Default)]
struct Making {
    under_way: bool,
    /// Other modules have taken the place of this one: nobody shall wait for it.
    replaced: bool,
    /// Why the last try failed.
    fault: Option<NotCompiled>,
    again: Backoff,
}

/// What waiting has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// It is there.
    There,
    /// It is not, and need not be: other modules have taken the module's place.
    Replaced,
}

/// How long to wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tries {
    /// For one try.
    One,
    /// For as long as failures pass.
    AsManyAsItTakes,
}

impl<T> Default for Patient<T> {
    fn default() -> Self {
        Self {
            made: OnceLock::new(),
            making: Mutex::default(),
            ended: Condvar::new(),
        }
    }
}

impl<T: Send + Sync + 'static> Patient<T> {
    /// The version that was made from the beginning.
    pub(super) fn of(made: T) -> Self {
        Self {
            made: OnceLock::from(made),
            ..Self::default()
        }
    }

    pub(super) fn get(&self) -> Option<&T> {
        self.made.get()
    }

    /// Has the version made, unless it is there or being made, cannot be made, was tried a short while ago, or is not
    /// needed any longer.
    pub(super) fn begin(
        self: &Arc<Self>,
        make: impl FnOnce() -> Result<T, NotCompiled> + Send + 'static,
    ) {
        let mut making = self.lock();
        let is_needed = self.made.get().is_none() && !making.replaced;
        if !is_needed || making.under_way || !making.is_due() {
            return;
        }
        let this = Arc::clone(self);
        let work = move || {
            let begun = Instant::now();
            let made = catch_unwind(AssertUnwindSafe(make));
            let made = made.unwrap_or_else(|_| Err(anyhow::anyhow!("the job panicked").into()));
            this.end(made, begun.elapsed());
        };
        match thread::Builder::new().name("compile".into()).spawn(work) {
            Ok(_) => making.under_way = true,
            Err(error) => {
                let fault = NotCompiled::passing(format!("start a thread for it: {error}"));
                making.failed(fault, Duration::ZERO);
            }
        }
    }

    /// Waits until it is there, or nobody needs it any longer. An error says why it is not there, and will not
    /// be for now.
    pub(super) fn wait(
        self: &Arc<Self>,
        tries: Tries,
        make: impl Fn() -> Result<T, NotCompiled> + Clone + Send + 'static,
    ) -> Result<Waited, NotCompiled> {
        loop {
            self.begin(make.clone());
            let making = self.lock();
            if self.made.get().is_some() {
                return Ok(Waited::There);
            }
            if making.replaced {
                return Ok(Waited::Replaced);
            }
            let last = making.fault.as_ref().filter(|_| !making.under_way);
            if let Some(fault) = last.filter(|fault| !fault.passes || tries == Tries::One) {
                return Err(fault.clone());
            }
            let waited = self.ended.wait_timeout(making, LOOK_EVERY);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Other modules have taken the place of its own: whoever waits for it goes on.
    pub(super) fn replace(&self) {
        self.lock().replaced = true;
        self.ended.notify_all();
    }

    fn end(&self, made: Result<T, NotCompiled>, took: Duration) {
        let mut making = self.lock();
        making.under_way = false;
        match made {
            // There was none: one is made at a time.
            Ok(made) => drop(self.made.set(made)),
            Err(fault) => making.failed(fault, took),
        }
        self.ended.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Making> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Making {
    fn is_due(&self) -> bool {
        let fault = self.fault.as_ref();
        fault.is_none_or(|fault| fault.passes && self.again.is_due())
    }

    fn failed(&mut self, fault: NotCompiled, took: Duration) {
        self.fault = Some(fault);
        self.again.failed(took);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Fails so often in passing, then as it is told.
    fn failing(
        passing: u32,
        then: Result<u32, &'static str>,
    ) -> (
        Arc<AtomicU32>,
        impl Fn() -> Result<u32, NotCompiled> + Clone + Send + 'static,
    ) {
        let tries = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&tries);
        let make = move || {
            if counter.fetch_add(1, Ordering::Relaxed) < passing {
                return Err(NotCompiled::passing("not now"));
            }
            then.map_err(|cause| anyhow::anyhow!(cause).into())
        };
        (tries, make)
    }

    #[test]
    fn a_failure_that_passes_is_tried_again_and_success_is_kept() {
        let patient = Arc::new(Patient::default());
        let (tries, make) = failing(2, Ok(7));
        patient.wait(Tries::AsManyAsItTakes, make.clone()).unwrap();
        patient.wait(Tries::One, make).unwrap();
        assert_eq!(patient.get(), Some(&7));
        assert_eq!(tries.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn one_try_is_one_and_a_fault_of_the_module_is_final() {
        let patient = Arc::new(Patient::default());
        let (_, make) = failing(1, Err("never"));
        let said = patient.wait(Tries::One, make.clone()).unwrap_err();
        assert!(said.passes && said.cause == "not now", "{said:?}");
        let said = patient.wait(Tries::AsManyAsItTakes, make).unwrap_err();
        assert!(!said.passes && said.cause == "never", "{said:?}");
        let (tries, make) = failing(0, Ok(7));
        patient.begin(make.clone());
        patient.wait(Tries::AsManyAsItTakes, make).unwrap_err();
        assert_eq!(tries.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn nobody_waits_for_a_module_that_was_replaced() {
        let patient = Arc::new(Patient::default());
        let (tried, has_tried) = std::sync::mpsc::channel();
        let make = move || {
            let _ = tried.send(());
            Err::<u32, _>(NotCompiled::passing("not now"))
        };
        thread::scope(|scope| {
            let waits = scope.spawn(|| patient.wait(Tries::AsManyAsItTakes, make.clone()));
            has_tried.recv().unwrap();
            patient.replace();
            assert_eq!(waits.join().unwrap().unwrap(), Waited::Replaced);
        });
        let (tries, make) = failing(0, Ok(7));
        let waited = patient.wait(Tries::AsManyAsItTakes, make).unwrap();
        assert_eq!(waited, Waited::Replaced);
        assert_eq!(tries.load(Ordering::Relaxed), 0, "it was made for nobody");
    }

    #[test]
    fn nobody_waits_for_it_who_does_not_need_it_and_a_panic_hangs_nobody() {
        let patient = Arc::new(Patient::<u32>::default());
        let (go, wait) = std::sync::mpsc::channel::<()>();
        patient.begin(move || {
            let _ = wait.recv();
            panic!("as the test has it");
        });
        // Here we are while it is being made.
        assert!(patient.get().is_none());
        drop(go);
        let (_, make) = failing(0, Ok(7));
        let said = patient.wait(Tries::AsManyAsItTakes, make).unwrap_err();
        assert!(said.cause.contains("panicked"), "{said:?}");
    }
}
