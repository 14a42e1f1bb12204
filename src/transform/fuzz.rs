//! Modules, and what they return, as somebody may have made them.

use super::abi::{Outcome, Outcomes, Output, PartitionKey};
use super::component::kind;
use super::packed::unpack;
use super::shape;
use crate::config::CompileLimits;

/// So many bytes of output a call may have.
const OUTPUT_MAX: usize = 1 << 20;

/// A file, as it is looked at before anything is compiled.
pub fn module(file: &[u8]) {
    let limits = CompileLimits {
        memory: 64 << 20,
        ..CompileLimits::default()
    };
    let _ = kind(file);
    if let Ok(instances) = shape::check(file, &limits) {
        assert!((1..=1000).contains(&instances), "{instances} instances");
        assert!(file.len() as u64 <= shape::file_bytes_max(&limits));
    }
}

/// What a module returns for packed records: five counts, then so many ends, outcomes, messages and keys, then
/// the data. What adds up is told record by record, without a byte more or less.
pub fn module_results(bytes: &[u8]) {
    let Some(([records, ends, counts, failures, keys], mut rest)) = bytes.split_first_chunk::<5>()
    else {
        return;
    };
    let mut number = |width: usize| {
        let (number, after) = rest.split_at(width.min(rest.len()));
        rest = after;
        let bytes = number.iter().rev();
        bytes.fold(0, |number, byte| number << 8 | u32::from(*byte))
    };
    let ends: Vec<u32> = (0..*ends).map(|_| number(2)).collect();
    let counts = (0..*counts).map(|_| match number(1) {
        0xff => u32::MAX,
        0xfe => u32::MAX - 1,
        count => count,
    });
    let counts: Vec<u32> = counts.collect();
    let failures = (0..*failures).map(|at| at.to_string()).collect();
    let key = |at: u8| PartitionKey {
        output: number(1),
        name: at.to_string(),
        value: String::new(),
    };
    let keys: Vec<PartitionKey> = (0..*keys).map(key).collect();
    let outcomes = Outcomes {
        data: rest.to_vec().into(),
        ends: ends.clone(),
        counts,
        failures,
        keys,
    };
    let records = usize::from(*records);
    let Ok(unpacked) = unpack(outcomes, records, OUTPUT_MAX) else {
        return;
    };
    assert_eq!(unpacked.len(), records, "an outcome for each record");
    let outputs = |outcome: Outcome| match outcome {
        Outcome::Ok(output) => vec![output],
        Outcome::Many(outputs) => outputs,
        Outcome::Dropped | Outcome::Failed(_) => Vec::new(),
    };
    let outputs: Vec<Output> = unpacked.into_iter().flat_map(outputs).collect();
    assert_eq!(outputs.len(), ends.len(), "an output for each end");
    let data: Vec<&[u8]> = outputs.iter().map(|output| &output.data[..]).collect();
    assert_eq!(data.concat(), rest, "all of the data");
}
