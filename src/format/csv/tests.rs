//! Lines as they are written, read back by the rules of RFC 4180. What other people's readers make of them is in
//! `tests/it/rows.rs`.

use proptest::prelude::*;

use super::CsvSettings;
use crate::config::ColumnSettings;
use crate::failure::Failure;
use crate::format::{Compression, Format, FormatFault, Head};
use crate::position::Position;
use crate::record::Record;

fn settings(schema: &str) -> CsvSettings {
    CsvSettings {
        compression: Compression::None,
        columns: ColumnSettings::of(schema),
        header: true,
        delimiter: ',',
        quote: '"',
        null: String::new(),
    }
}

/// The object of these records, all of which fit.
fn convert(settings: &CsvSettings, records: &[String]) -> String {
    let (text, failed) = convert_what_fits(settings, records);
    assert_eq!(failed, []);
    text
}

/// The object of these records, and why others are not in it.
fn convert_what_fits(settings: &CsvSettings, records: &[String]) -> (String, Vec<Failure>) {
    let format = Format::compile(&settings.clone().into()).unwrap();
    let mut block = Vec::new();
    for data in records {
        let record = Record::new(data.as_bytes(), 0, Position::default());
        format.stage(&record, &mut block);
    }
    let (mut block, mut out, mut failed) = (Some(block), Vec::new(), Vec::new());
    let records = format.encode_object(
        &mut format.encoder(),
        &Head::default(),
        &mut || Ok(block.take().map(Into::into)),
        &mut out,
        &mut |_, failure| failed.push(failure),
    );
    assert!(records.unwrap() > 0);
    assert_eq!(format.content_type(), "text/csv");
    (String::from_utf8(out).unwrap(), failed)
}

#[test]
fn a_value_of_every_type_has_a_text_that_says_it_all() {
    let schema = "b boolean, t tinyint, s smallint, i int, l bigint, f float, d double, c decimal(20,3), \
                  x string, y binary, z date, at timestamp";
    let least = r#"{"b":false,"t":-128,"s":-32768,"i":-2147483648,"l":-9223372036854775808,"f":-3.4028235e38,
        "d":-1.7976931348623157e308,"c":"-99999999999999999.999","x":"","y":"","z":"0001-01-01","at":"0001-01-01T00:00:00Z"}"#;
    let other = r#"{"b":true,"t":1,"s":2,"i":3,"l":4,"f":1.1,"d":5e-324,"c":1.0005,"x":"é","y":"AQI=","z":"2026-02-28",
        "at":"9999-12-31T23:59:59.99Z"}"#;
    let text = convert(
        &settings(schema),
        &[least.to_owned(), other.to_owned(), "{}".to_owned()],
    );
    let expected = "b,t,s,i,l,f,d,c,x,y,z,at\n\
        false,-128,-32768,-2147483648,-9223372036854775808,-3.4028235e+38,-1.7976931348623157e+308,\
        -99999999999999999.999,\"\",\"\",0001-01-01,0001-01-01T00:00:00Z\n\
        true,1,2,3,4,1.1,5e-324,1.001,é,AQI=,2026-02-28,9999-12-31T23:59:59.99Z\n\
        ,,,,,,,,,,,\n";
    assert_eq!(text, expected);
}

#[test]
fn a_row_of_empty_members_has_no_more_text_than_fits() {
    let field = "n".repeat(1000);
    let sparse = |members: usize| format!(r#"{{"a":[{}]}}"#, vec!["{}"; members].join(","));
    let records = [sparse(10), sparse(40_000), sparse(10)];
    let schema = format!("a array<struct<{field}:int>>, b int");
    let (text, failed) = convert_what_fits(&settings(&schema), &records);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].message.contains("too sparse"), "{failed:?}");
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn what_has_parts_is_one_json_text() {
    let mut settings = settings(
        "a array<array<int>>, m map<string,struct<k:decimal(3,1)>>, n map<bigint,binary>, \
         s struct<`a \"b`:string,t:array<timestamp>,f:float>",
    );
    settings.quote = '\'';
    settings.delimiter = ';';
    let record = r#"{"a":[[1,null],[],null],"m":{"e\n'":{"k":1.25},"o":null},"n":{"1":"AQI=","02":null},
        "s":{"a \"b":"x\u0001","t":["2026-02-28",-1.5],"f":1.1}}"#;
    let text = convert(&settings, &[record.to_owned()]);
    let mut lines = text.split_inclusive('\n');
    assert_eq!(lines.next(), Some("a;m;n;s\n"));
    let expected = [
        "[[1,null],[],null]",
        r#"'{"e\n''":{"k":"1.3"},"o":null}'"#,
        r#"{"1":"AQI=","2":null}"#,
        r#"{"a \"b":"x\u0001","t":["2026-02-28T00:00:00Z","1969-12-31T23:59:58.5Z"],"f":1.1}"#,
    ];
    assert_eq!(lines.next().map(str::trim_end), Some(&*expected.join(";")));
}

#[test]
fn a_null_has_no_quotes_and_what_reads_like_one_has_some() {
    let mut settings = settings("a string, b int");
    settings.null = "0".into();
    settings.header = false;
    let records = [
        r#"{"a":"0","b":0}"#,
        r#"{"a":null}"#,
        r#"{"a":"","b":10}"#,
        r#"{"a":" ","b":1}"#,
    ];
    let text = convert(&settings, &records.map(str::to_owned));
    assert_eq!(text, "\"0\",\"0\"\n0,0\n\"\",10\n ,1\n");
}

#[test]
fn a_null_in_the_only_column_would_be_a_blank_line() {
    let mut settings = settings("a string");
    let fault = Format::compile(&settings.clone().into()).unwrap_err();
    let FormatFault { at, message, .. } = fault;
    assert_eq!(at, None);
    assert!(message.contains("blank line"), "{message}");
    settings.null = "NULL".into();
    let records = [r#"{"a":""}"#, "{}"].map(str::to_owned);
    assert_eq!(convert(&settings, &records), "a\n\"\"\nNULL\n");
}

/// Fields by the rules of RFC 4180; whether each was in quotes.
fn parse(text: &str, delimiter: char, quote: char) -> Vec<Vec<(String, bool)>> {
    let (mut rows, mut row) = (Vec::new(), Vec::new());
    let (mut field, mut was_quoted) = (String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(next) = characters.next() {
        if next == quote && field.is_empty() && !was_quoted {
            was_quoted = true;
            while let Some(inside) = characters.next() {
                if inside == quote && characters.next_if_eq(&quote).is_none() {
                    break;
                }
                field.push(inside);
            }
        } else if next == delimiter || next == '\n' {
            row.push((std::mem::take(&mut field), was_quoted));
            was_quoted = false;
            if next == '\n' {
                rows.push(std::mem::take(&mut row));
            }
        } else {
            assert!(!was_quoted && next != quote, "{text:?}");
            field.push(next);
        }
    }
    assert!(row.is_empty() && field.is_empty(), "{text:?}");
    rows
}

proptest! {
    #[test]
    fn texts_come_back_whatever_the_characters_are(
        rows in prop::collection::vec(["[a,;|\"'\r\n\\\\\t é0-9-]{0,6}", "[\"\n]{0,4}"].prop_map(|texts| texts.map(Some)), 1..6),
        nulls in any::<[bool; 2]>(),
        delimiter in "[,;|\t a1]", quote in "[\"'\\\\b]", null in prop::sample::select(vec!["", "NULL", "-", "a"]),
    ) {
        let [delimiter, quote] = [delimiter, quote].map(|text| text.chars().next().unwrap());
        let mut settings = settings("x string, y string");
        (settings.delimiter, settings.quote) = (delimiter, quote);
        settings.null = if null.contains(delimiter) { String::new() } else { null.to_owned() };
        settings.header = false;
        let rows: Vec<[Option<String>; 2]> = rows.into_iter()
            .map(|[x, y]| [x.filter(|_| !nulls[0]), y.filter(|_| !nulls[1])]).collect();
        let records: Vec<String> = rows.iter()
            .map(|[x, y]| serde_json::json!({"x": x, "y": y}).to_string()).collect();
        let text = convert(&settings, &records);
        let read: Vec<[Option<String>; 2]> = parse(&text, delimiter, quote).into_iter().map(|row| {
            let row: [(String, bool); 2] = row.try_into().unwrap();
            row.map(|(field, was_quoted)| (was_quoted || field != settings.null).then_some(field))
        }).collect();
        prop_assert_eq!(read, rows, "{}", text);
    }
}
