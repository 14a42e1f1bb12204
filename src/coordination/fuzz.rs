//! Lease items, as KCL or anybody who may write the table has left them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::{KclCheckpoint, LeaseItem, name};

/// Names of attributes, in the order in which values come.
const NAMES: [&str; 14] = [
    name::KEY,
    name::CHECKPOINT,
    name::COUNTER,
    name::SUB_SEQUENCE,
    name::OWNER,
    name::BODY,
    name::BODY_CRC,
    name::WAITING,
    name::UNTIL,
    name::PARENTS,
    name::START,
    name::STREAM,
    name::CREATED,
    name::ENTITY_TYPE,
];

/// An item, a value a line: `s` a text, `n` a number, `t` a set of one text, else nothing. What is read says how
/// far the shard is, and says it again when it is written.
pub fn lease(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut item = HashMap::new();
    for (name, line) in NAMES.iter().zip(text.lines()) {
        let value = line.get(1..).unwrap_or_default().to_owned();
        let value = match line.as_bytes().first() {
            Some(b's') => AttributeValue::S(value),
            Some(b'n') => AttributeValue::N(value),
            Some(b't') => AttributeValue::Ss(vec![value]),
            _ => continue,
        };
        item.insert((*name).to_owned(), value);
    }
    let Ok(Some(lease)) = LeaseItem::parse(&item) else {
        return;
    };
    let state = lease.state();
    assert_eq!(state.ended, lease.has_ended());
    let _ = (lease.is_untouched(), lease.written().is_done());
    let (checkpoint, sub_sequence) = lease.checkpoint.written();
    item.insert(name::CHECKPOINT.into(), AttributeValue::S(checkpoint));
    let sub_sequence = AttributeValue::N(sub_sequence.to_string());
    item.insert(name::SUB_SEQUENCE.into(), sub_sequence);
    let again = LeaseItem::parse(&item).ok().flatten();
    let again: Option<KclCheckpoint> = again.map(|lease| lease.checkpoint);
    assert_eq!(again, Some(lease.checkpoint), "written and read");
}
