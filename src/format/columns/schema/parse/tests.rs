//! The column syntax: what it means, and where it points when it is wrong.

use proptest::prelude::*;

use super::super::{Field, HiveType};
use crate::format::FormatFault;

fn field(name: &str, kind: HiveType) -> Field {
    Field {
        name: name.to_owned(),
        kind,
    }
}

/// With any names.
fn parse(text: &str) -> Result<Vec<Field>, FormatFault> {
    super::parse(text, |_| None)
}

/// The fault's text, its message and its help.
fn fault(text: &str) -> (String, String, String) {
    let fault = parse(text).unwrap_err();
    let at = fault.at.unwrap();
    (
        text[at].to_owned(),
        fault.message,
        fault.help.unwrap_or_default(),
    )
}

#[test]
fn a_table_as_athena_shows_it_is_understood() {
    let text = "
        event_id STRING COMMENT 'it''s an id, \\' really',
        ts timestamp,
        `select` int
        device Struct<os:string, `model name` : varchar(20) comment \"x\">,
        tags array< string >,
        price decimal(10, 2), amount decimal, comment binary,
        counts map<string,array<bigint>>,
    ";
    let device = HiveType::Struct(vec![
        field("os", HiveType::String),
        field("model name", HiveType::Varchar(20)),
    ]);
    let counts = HiveType::Map(
        Box::new(HiveType::String),
        Box::new(HiveType::Array(Box::new(HiveType::BigInt))),
    );
    // A doubled quote is no escape in Hive: the comment ends at it.
    assert_eq!(fault(text).1, "expected `,` or the end, found `'`");
    let text = text.replace("''", "");
    let expected = [
        field("event_id", HiveType::String),
        field("ts", HiveType::Timestamp),
        field("select", HiveType::Int),
        field("device", device),
        field("tags", HiveType::Array(Box::new(HiveType::String))),
        field(
            "price",
            HiveType::Decimal {
                precision: 10,
                scale: 2,
            },
        ),
        field(
            "amount",
            HiveType::Decimal {
                precision: 10,
                scale: 0,
            },
        ),
        field("comment", HiveType::Binary),
        field("counts", counts),
    ];
    assert_eq!(parse(&text).unwrap(), expected);
}

#[test]
fn a_fault_points_at_the_wrong_bytes_and_says_what_is_allowed() {
    for (text, at, message) in [
        ("", "", "the schema names no column"),
        ("a", "", "expected a type, found the end"),
        ("a int b int", "b", "expected `,` or the end, found `b`"),
        ("a int,, b int", ",", "expected a column name, found `,`"),
        (
            "a struct<os string>",
            "s",
            "expected `:` after the field's name, found `s`",
        ),
        ("a struct<>", ">", "expected a field name, found `>`"),
        (
            "a struct<b:int",
            "",
            "expected `>` or `,` after the field's type, found the end",
        ),
        ("a array(int)", "(", "expected `<` after `array`, found `(`"),
        (
            "a map<string>",
            ">",
            "expected `,` between the types of key and value, found `>`",
        ),
        (
            "a map<array<int>,int>",
            "array<int>",
            "a map's key must be a primitive type, such as `string`",
        ),
        (
            "a int, B int, b int",
            "b",
            "the column `b` is declared twice (case does not tell names apart)",
        ),
        (
            "a struct<x:int,X:int>",
            "X",
            "the field `X` is declared twice (case does not tell names apart)",
        ),
        (
            "a decimal(39,0)",
            "39",
            "a decimal's precision is 1 to 38 digits",
        ),
        (
            "a decimal(5,6)",
            "6",
            "a decimal's scale is 0 to its precision, here 5",
        ),
        (
            "a decimal(99999999999999)",
            "99999999999999",
            "a decimal's precision is 1 to 38 digits",
        ),
        ("a decimal(x)", "x", "expected a number, found `x`"),
        (
            "a varchar",
            "varchar",
            "`varchar` needs a length: `varchar(n)`",
        ),
        (
            "a char(256)",
            "256",
            "a char's length is 1 to 255 characters",
        ),
        ("`a int", "`a int", "this backquote is never closed"),
        (
            "`` int",
            "``",
            "expected a column name between the backquotes",
        ),
        ("a int comment 'x", "'x", "this comment is never closed"),
    ] {
        let (found, said, _) = fault(text);
        assert_eq!((found.as_str(), said.as_str()), (at, message), "{text}");
    }
}

#[test]
fn an_unknown_type_is_answered_with_the_nearest_one() {
    for (word, nearest) in [
        ("strnig", "string"),
        ("Timestmp", "timestamp"),
        ("set<int>", "array"),
        ("long", "bigint"),
    ] {
        let (at, message, help) = fault(&format!("a int, b {word}"));
        assert_eq!(at, word.split('<').next().unwrap());
        assert!(
            message.contains("the types are boolean, tinyint"),
            "{message}"
        );
        assert_eq!(help, format!("did you mean `{nearest}`?"));
    }
    assert_eq!(fault("a hippopotamus").2, "");
}

#[test]
fn depth_and_width_have_bounds() {
    let deep = format!("a {}int{}", "array<".repeat(32), ">".repeat(32));
    assert_eq!(fault(&deep).1, "types are nested deeper than 32 levels");
    let deep = format!("a {}", "struct<a:".repeat(1_000_000));
    assert_eq!(fault(&deep).1, "types are nested deeper than 32 levels");
    let wide: Vec<String> = (0..4097).map(|index| format!("c{index} int")).collect();
    assert!(fault(&wide.join(",")).1.contains("at most 4096"));
}

fn kind() -> impl Strategy<Value = HiveType> {
    let leaf = prop_oneof![
        Just(HiveType::Boolean),
        Just(HiveType::BigInt),
        Just(HiveType::Timestamp),
        (1_u8..=38)
            .prop_flat_map(|precision| (Just(precision), 0..=precision))
            .prop_map(|(precision, scale)| HiveType::Decimal { precision, scale }),
        (1_u32..=65_535).prop_map(HiveType::Varchar),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            inner
                .clone()
                .prop_map(|item| HiveType::Array(Box::new(item))),
            inner
                .clone()
                .prop_map(|value| HiveType::Map(Box::new(HiveType::String), Box::new(value))),
            proptest::collection::btree_map("[^A-Z\u{80}-\u{10ffff}]{1,6}", inner, 1..3).prop_map(
                |fields| {
                    HiveType::Struct(
                        fields
                            .into_iter()
                            .map(|(name, kind)| field(&name, kind))
                            .collect(),
                    )
                }
            ),
        ]
    })
}

/// A type in Hive's spelling, all names backquoted.
fn print(kind: &HiveType) -> String {
    match kind {
        HiveType::Boolean => "boolean".to_owned(),
        HiveType::BigInt => "BigInt".to_owned(),
        HiveType::Timestamp => "TIMESTAMP".to_owned(),
        HiveType::String => "string".to_owned(),
        HiveType::Decimal { precision, scale } => format!("decimal( {precision} , {scale} )"),
        HiveType::Varchar(length) => format!("varchar({length})"),
        HiveType::Array(item) => format!("array<{}>", print(item)),
        HiveType::Map(key, value) => format!("map < {},{}>", print(key), print(value)),
        HiveType::Struct(fields) => {
            let field = |field: &Field| {
                format!(
                    "`{}`: {}",
                    field.name.replace('`', "``"),
                    print(&field.kind)
                )
            };
            format!(
                "struct<{}>",
                fields.iter().map(field).collect::<Vec<_>>().join(",\n")
            )
        }
        _ => unreachable!("the strategy makes no other"),
    }
}

proptest! {
    #[test]
    fn a_printed_type_reads_back(kind in kind()) {
        prop_assert_eq!(parse(&format!("c {}", print(&kind))).unwrap(), [field("c", kind)]);
    }

    #[test]
    fn no_text_makes_it_panic_and_every_fault_points_into_the_text(
        text in "[a-c`<>:,() \n'\"\\\\0-9é]{0,30}|(a int, ?|struct<|array<|map<|decimal\\(|b:|comment '|>|\\)|é){0,8}",
    ) {
        if let Err(fault) = parse(&text) {
            prop_assert!(text.get(fault.at.unwrap()).is_some());
        }
    }
}
