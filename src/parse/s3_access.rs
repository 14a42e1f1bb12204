//! `s3-access`: server access logs of S3.

use std::sync::LazyLock;

use firehose_calendar::MONTHS;

use super::fields::{Field, ObjectWriter, Type, push_text};
use super::lines::LineOutcome;
use super::logs::LogKind;
use super::own_fields::OwnField;
use super::port::{Fault, quoted};
use super::tokens::{Tokens, present, push, push_unknown};

/// The columns of the table that the documents declare.
const COLUMNS: &[(&str, Type)] = &[
    ("bucketowner", Type::Text),
    ("bucket_name", Type::Text),
    (TIME, Type::Text),
    ("remoteip", Type::Text),
    ("requester", Type::Text),
    ("requestid", Type::Text),
    ("operation", Type::Text),
    ("key", Type::Text),
    ("request_uri", Type::Text),
    ("httpstatus", Type::Int),
    ("errorcode", Type::Text),
    ("bytessent", Type::Int),
    ("objectsize", Type::Int),
    ("totaltime", Type::Int),
    ("turnaroundtime", Type::Int),
    ("referrer", Type::Text),
    ("useragent", Type::Text),
    ("versionid", Type::Text),
    ("hostid", Type::Text),
    ("sigv", Type::Text),
    ("ciphersuite", Type::Text),
    ("authtype", Type::Text),
    ("endpoint", Type::Text),
    ("tlsversion", Type::Text),
    ("accesspointarn", Type::Text),
    ("aclrequired", Type::Text),
    ("sourceregion", Type::Text),
];
/// The columns that stand in quotes. Where another one does, an agent or a referrer had quotes in it, and the columns
/// behind it are not where they belong.
const QUOTED: [&str; 3] = ["request_uri", "referrer", "useragent"];
/// The column that is a time.
const TIME: &str = "requestdatetime";
/// What lines have had from the beginning; the rest came in the course of years, at their ends.
const ALWAYS: usize = 18;

static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| {
    let columns = COLUMNS.iter();
    columns
        .map(|(name, kind)| Field::new(*name, *kind))
        .collect()
});

/// `type = "s3-access"`.
pub(super) const LOGS: LogKind = LogKind {
    word: "s3-access",
    choice: None,
    line,
};

fn line(_: &[OwnField], line: &str, out: &mut Vec<u8>) -> Result<LineOutcome, Fault> {
    let mut tokens = Tokens::of(line);
    let mut object = ObjectWriter::begin(out);
    for (at, field) in FIELDS.iter().enumerate() {
        let value = tokens.value(at, ALWAYS)?;
        if tokens.is_quoted && value.is_some() && !QUOTED.contains(&field.name.as_str()) {
            let message = format!("`{}` stands in quotes", field.name);
            return Err(Fault::mismatch(message));
        }
        match present(value) {
            Some(value) if field.name == TIME => {
                let Some(time) = rfc_3339(value) else {
                    let message = format!("{} is no time of an access log", quoted(value));
                    return Err(Fault::mismatch(message));
                };
                object.member(&field.member);
                push_text(&time, object.text);
            }
            value => push(field, value, &mut object)?,
        }
    }
    push_unknown(&mut tokens, &mut object)?;
    object.end();
    Ok(LineOutcome::Record)
}

/// A time such as `06/Feb/2019:00:00:38 +0000` as event times and columns read it.
fn rfc_3339(time: &str) -> Option<String> {
    let (date, zone) = time.split_once(' ')?;
    let (date, clock) = date.split_once(':')?;
    let mut parts = date.split('/');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let mut months = MONTHS.iter();
    let month = 1 + months.position(|name| name.get(..3) == Some(month))?;
    let is_number = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut of_clock = clock.split(':');
    let is_clock = of_clock.by_ref().take(3).all(|part| is_number(part, 2)) && clock.len() == 8;
    let (sign, offset) = zone.split_at_checked(1)?;
    let is_zone = matches!(sign, "+" | "-") && is_number(offset, 4);
    let is_date = is_number(day, 2) && is_number(year, 4) && parts.next().is_none();
    if !is_clock || !is_zone || !is_date {
        return None;
    }
    let zone = match offset {
        "0000" => "Z".to_owned(),
        _ => format!("{sign}{}:{}", &offset[..2], &offset[2..]),
    };
    Some(format!("{year}-{month:02}-{day}T{clock}{zone}"))
}
