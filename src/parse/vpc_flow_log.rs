//! `vpc-flow-log`: flow logs of VPCs, in the default format (version 2) or one of the user's own.

use super::fields::{ObjectWriter, Type};
use super::lines::LineOutcome;
use super::logs::LogKind;
use super::own_fields::{KnownFields, OwnField};
use super::port::Fault;
use super::tokens::push;

/// An account has leading zeros, and so is a text.
const KNOWN: KnownFields = KnownFields {
    logs: "VPC flow logs",
    default: DEFAULT,
    further: FURTHER,
    column: |name| name.replace('-', "_"),
};
const DEFAULT: &[(&str, Type)] = &[
    ("version", Type::Int),
    ("account-id", Type::Text),
    ("interface-id", Type::Text),
    ("srcaddr", Type::Text),
    ("dstaddr", Type::Text),
    ("srcport", Type::Int),
    ("dstport", Type::Int),
    ("protocol", Type::Int),
    ("packets", Type::Int),
    ("bytes", Type::Int),
    ("start", Type::Int),
    ("end", Type::Int),
    ("action", Type::Text),
    ("log-status", Type::Text),
];
/// What formats of later versions have.
const FURTHER: &[(&str, Type)] = &[
    ("vpc-id", Type::Text),
    ("subnet-id", Type::Text),
    ("instance-id", Type::Text),
    ("tcp-flags", Type::Int),
    ("type", Type::Text),
    ("pkt-srcaddr", Type::Text),
    ("pkt-dstaddr", Type::Text),
    ("region", Type::Text),
    ("az-id", Type::Text),
    ("sublocation-type", Type::Text),
    ("sublocation-id", Type::Text),
    ("pkt-src-aws-service", Type::Text),
    ("pkt-dst-aws-service", Type::Text),
    ("flow-direction", Type::Text),
    ("traffic-path", Type::Int),
    ("ecs-cluster-arn", Type::Text),
    ("ecs-cluster-name", Type::Text),
    ("ecs-container-instance-arn", Type::Text),
    ("ecs-container-instance-id", Type::Text),
    ("ecs-container-id", Type::Text),
    ("ecs-second-container-id", Type::Text),
    ("ecs-service-name", Type::Text),
    ("ecs-task-definition-arn", Type::Text),
    ("ecs-task-arn", Type::Text),
    ("ecs-task-id", Type::Text),
    ("reject-reason", Type::Text),
    ("resource-id", Type::Text),
    ("encryption-status", Type::Text),
];

/// `type = "vpc-flow-log"`.
pub(super) const LOGS: LogKind = LogKind {
    word: "vpc-flow-log",
    choice: Some(&KNOWN),
    line,
};

fn line(fields: &[OwnField], line: &str, out: &mut Vec<u8>) -> Result<LineOutcome, Fault> {
    let expected = fields.len();
    let count = line.split_ascii_whitespace().count();
    if count != expected {
        let message = format!("the line has {count} fields, and the format {expected}");
        return Err(Fault::mismatch(message));
    }
    let values = || line.split_ascii_whitespace().zip(fields);
    // Files of flow logs begin with a line that names the fields.
    if values().all(|(value, (name, _))| value == name) {
        return Ok(LineOutcome::Skipped);
    }
    let mut object = ObjectWriter::begin(out);
    for (value, (_, field)) in values() {
        push(field, Some(value), &mut object)?;
    }
    object.end();
    Ok(LineOutcome::Record)
}
