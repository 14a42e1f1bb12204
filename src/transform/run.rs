//! Records through one module: calls, retries, and the search for the record that breaks a call.

#![expect(clippy::disallowed_methods, reason = "what calls take is measured")]

use std::time::Instant;

use super::abi::{Outcome, Verdict};
use super::fault::{Broken, refused_batch, refused_record};
use super::instance::{CallError, Instance};
use super::module::Module;
use super::patient::Waited;
use crate::failure::Failure;
use crate::record::Record;

/// Records of one call. Beyond some hundred a call is no cheaper, and its buffers leave the cache.
pub(super) const CALL_RECORDS: usize = 256;
/// Bytes of records of one call, but for one record that alone has more.
const CALL_BYTES: usize = 128 << 10;
/// Calls with a batch that the module refuses as a whole: Firehose's three retries.
const ATTEMPTS_MAX: u32 = 4;

/// An instance for the next call, if there is one. Belongs to one thread at a time.
#[derive(Default)]
pub(super) struct InstanceSlot {
    instance: Option<Instance>,
    /// The most memory that an instance has held.
    pub(super) memory_peak: usize,
}

/// How many of the records make the next call.
pub(super) fn call_len(module: &Module, records: &[Record<'_>]) -> usize {
    if module.one_by_one() {
        return records.len().min(1);
    }
    let mut bytes = 0;
    let fits = |record: &&Record<'_>| {
        bytes += record.data.len();
        bytes <= CALL_BYTES
    };
    let count = records.iter().take(CALL_RECORDS).take_while(fits).count();
    count.max(1).min(records.len())
}

/// Other modules have taken the place of one while records waited for it: they are those of the new ones.
#[derive(Debug)]
pub(super) struct Replaced;

/// Runs the records of one call; as many verdicts as records are appended, in their order.
pub(super) fn run(
    module: &Module,
    slot: &mut InstanceSlot,
    records: &[Record<'_>],
    verdicts: &mut Vec<Verdict>,
) -> Result<(), Replaced> {
    let before = verdicts.len();
    settle(module, slot, records, verdicts)?;
    module.observer().settled(records, &verdicts[before..]);
    Ok(())
}

fn settle(
    module: &Module,
    slot: &mut InstanceSlot,
    records: &[Record<'_>],
    verdicts: &mut Vec<Verdict>,
) -> Result<(), Replaced> {
    match attempt(module, slot, records, 0) {
        Ok((outcomes, attempts)) => {
            let told = outcomes
                .into_iter()
                .map(|outcome| told(module, outcome, attempts));
            verdicts.extend(told);
        }
        // Of several records one has broken the call. One by one, not by halves: a call is cheap
        // and a time-out is not, and halves would wait for eight of them to find one record of 256.
        Err(FailedAttempts::Broken(_, attempts)) if records.len() > 1 => {
            for record in records {
                verdicts.push(alone(module, slot, record, attempts)?);
            }
        }
        Err(ended) => {
            let (failure, attempts) = ended.failure(module)?;
            verdicts.extend(records.iter().map(|_| Err((failure.clone(), attempts))));
        }
    }
    Ok(())
}

fn alone(
    module: &Module,
    slot: &mut InstanceSlot,
    record: &Record<'_>,
    before: u32,
) -> Result<Verdict, Replaced> {
    let (mut outcomes, attempts) = match attempt(module, slot, &[*record], before) {
        Ok(done) => done,
        Err(ended) => return ended.failure(module).map(Err),
    };
    // The instance has checked that there is one.
    let outcome = outcomes.pop().unwrap_or(Outcome::Dropped);
    Ok(told(module, outcome, attempts))
}

/// The module's word on a record.
fn told(module: &Module, outcome: Outcome, attempts: u32) -> Verdict {
    match outcome {
        Outcome::Failed(message) => Err((refused_record(module.name(), &message), attempts)),
        outcome => Ok(outcome),
    }
}

/// How attempts ended without outcomes, and how many there were.
enum FailedAttempts {
    Refused(String, u32),
    Broken(Broken, u32),
    Replaced,
}

impl FailedAttempts {
    fn failure(self, module: &Module) -> Result<(Failure, u32), Replaced> {
        match self {
            Self::Refused(message, attempts) => {
                Ok((refused_batch(module.name(), &message), attempts))
            }
            Self::Broken(broken, attempts) => Ok((broken.failure(module.name()), attempts)),
            Self::Replaced => Err(Replaced),
        }
    }
}

/// Calls the module, again where it refuses the batch. `before` calls were made with the records.
fn attempt(
    module: &Module,
    slot: &mut InstanceSlot,
    records: &[Record<'_>],
    before: u32,
) -> Result<(Vec<Outcome>, u32), FailedAttempts> {
    let mut count = 1;
    loop {
        match call(module, slot, records) {
            Ok(outcomes) => return Ok((outcomes, before + count)),
            Err(CallError::Refused(_)) if count < ATTEMPTS_MAX => {
                module.observer().metrics.retries.add(1);
                count += 1;
            }
            Err(CallError::Refused(message)) => {
                return Err(FailedAttempts::Refused(message, before + count));
            }
            Err(CallError::Broken(broken)) => {
                return Err(FailedAttempts::Broken(broken, before + count));
            }
            Err(CallError::Replaced) => return Err(FailedAttempts::Replaced),
        }
    }
}

fn call(
    module: &Module,
    slot: &mut InstanceSlot,
    records: &[Record<'_>],
) -> Result<Vec<Outcome>, CallError> {
    let metrics = &module.observer().metrics;
    let broken = |broken: Broken| {
        metrics.broken_calls(broken.cause as usize).add(1);
        CallError::Broken(broken)
    };
    let mut instance = if let Some(instance) = slot.instance.take() {
        instance
    } else {
        metrics.instance_starts.add(1);
        match Instance::start(module) {
            Ok(instance) => instance,
            Err(why) if why.gave_up => return call_patiently(module, slot, records, why),
            Err(why) => return Err(broken(why)),
        }
    };
    let begun = Instant::now();
    let result = instance.call(module, records);
    metrics.call.since(begun);
    metrics.calls.add(1);
    // However it ended: a module that is asked too seldom whether it may go on must not stay so for long.
    if begun.elapsed() > module.timeout() {
        module.begin_patience();
    }
    let result = match result {
        Err(CallError::Broken(why)) if why.gave_up => {
            return call_patiently(module, slot, records, why);
        }
        Err(CallError::Broken(why)) => Err(broken(why)),
        result => result,
    };
    let (memory, peak) = instance.memory();
    metrics.memory_peak.raise(peak as u64);
    slot.memory_peak = slot.memory_peak.max(peak);
    // After a trap or an interrupt a store is of no more use.
    if !matches!(result, Err(CallError::Broken(_))) && module.keeps(memory) {
        slot.instance = Some(instance);
    }
    result
}

/// The same call by a patient instance, which does not give up as this one did. The records wait for it: that
/// it cannot be had yet is not their fault.
fn call_patiently(
    module: &Module,
    slot: &mut InstanceSlot,
    records: &[Record<'_>],
    gave_up: Broken,
) -> Result<Vec<Outcome>, CallError> {
    let fault = match module.wait_for_patience() {
        Ok(Waited::There) => return call(module, slot, records),
        Ok(Waited::Replaced) => return Err(CallError::Replaced),
        Err(fault) => fault,
    };
    let metrics = &module.observer().metrics;
    let Broken { cause, message, .. } = gave_up;
    metrics.broken_calls(cause as usize).add(1);
    let message = format!(
        "{message}, and the module cannot be compiled for that: {}",
        fault.cause
    );
    Err(CallError::Broken(Broken {
        cause,
        message,
        gave_up: true,
    }))
}
