//! `alb`: access logs of Application Load Balancers.

use std::sync::LazyLock;

use super::fields::{Field, ObjectWriter, Type};
use super::lines::LineOutcome;
use super::logs::LogKind;
use super::own_fields::OwnField;
use super::port::Fault;
use super::tokens::{Tokens, present, push, push_unknown};

/// What a value of a line becomes.
#[derive(Clone, Copy, Debug)]
enum Value {
    /// One column.
    Column(&'static str, Type),
    /// An address and a port.
    Address([&'static str; 2]),
    /// The first line of a request.
    Request([&'static str; 3]),
}

use Value::{Address, Column, Request};

/// The values of a line in their order, by the columns of the table that the documents declare.
const VALUES: &[Value] = &[
    Column("type", Type::Text),
    Column("time", Type::Text),
    Column("elb", Type::Text),
    Address(["client_ip", "client_port"]),
    Address(["target_ip", "target_port"]),
    Column("request_processing_time", Type::Float),
    Column("target_processing_time", Type::Float),
    Column("response_processing_time", Type::Float),
    Column("elb_status_code", Type::Int),
    Column("target_status_code", Type::Int),
    Column("received_bytes", Type::Int),
    Column("sent_bytes", Type::Int),
    Request(["request_verb", "request_url", "request_proto"]),
    Column("user_agent", Type::Text),
    Column("ssl_cipher", Type::Text),
    Column("ssl_protocol", Type::Text),
    Column("target_group_arn", Type::Text),
    Column("trace_id", Type::Text),
    Column("domain_name", Type::Text),
    Column("chosen_cert_arn", Type::Text),
    Column("matched_rule_priority", Type::Text),
    Column("request_creation_time", Type::Text),
    Column("actions_executed", Type::Text),
    Column("redirect_url", Type::Text),
    Column("lambda_error_reason", Type::Text),
    Column("target_port_list", Type::Text),
    Column("target_status_code_list", Type::Text),
    Column("classification", Type::Text),
    Column("classification_reason", Type::Text),
    Column("conn_trace_id", Type::Text),
];
/// What lines have had from the beginning; the rest came in the course of years, at their ends.
const ALWAYS: usize = 18;

static FIELDS: LazyLock<Vec<(Value, Vec<Field>)>> = LazyLock::new(|| {
    let fields = |value: &Value| match value {
        Column(name, kind) => vec![Field::new(*name, *kind)],
        Address([ip, port]) => vec![Field::new(*ip, Type::Text), Field::new(*port, Type::Int)],
        Request(names) => names.map(|name| Field::new(name, Type::Text)).to_vec(),
    };
    VALUES.iter().map(|value| (*value, fields(value))).collect()
});

/// `type = "alb"`.
pub(super) const LOGS: LogKind = LogKind {
    word: "alb",
    choice: None,
    line,
};

fn line(_: &[OwnField], line: &str, out: &mut Vec<u8>) -> Result<LineOutcome, Fault> {
    let mut tokens = Tokens::of(line);
    let mut object = ObjectWriter::begin(out);
    for (at, (value, fields)) in FIELDS.iter().enumerate() {
        let token = present(tokens.value(at, ALWAYS)?);
        let parts = match value {
            Column(..) => [token, None, None],
            Address(_) => address(token),
            Request(_) => request(token),
        };
        for (field, part) in fields.iter().zip(parts) {
            push(field, part, &mut object)?;
        }
    }
    push_unknown(&mut tokens, &mut object)?;
    object.end();
    Ok(LineOutcome::Record)
}

/// An address, of IPv6 too, and a port.
fn address(token: Option<&str>) -> [Option<&str>; 3] {
    match token.and_then(|token| token.rsplit_once(':')) {
        Some((ip, port)) => [Some(ip), Some(port), None],
        None => [token, None, None],
    }
}

/// The verb, the URL, which may have spaces in it where a client is no good, and the protocol: a `-` is none.
fn request(token: Option<&str>) -> [Option<&str>; 3] {
    let Some((verb, rest)) = token.and_then(|token| token.split_once(' ')) else {
        return [None, token, None];
    };
    let rest = rest.trim_end();
    let (url, proto) = rest.rsplit_once(' ').unwrap_or((rest, "-"));
    [Some(verb), Some(url), Some(proto)].map(|part| part.filter(|part| *part != "-"))
}
