//! What Glue is sent, and what is made of its answers.

mod columns;
mod partitions;
mod scripted;

use std::sync::Arc;

use super::*;
use crate::config::{AwsAccess, Reading, StorageClasses};

fn glue() -> Glue {
    Glue::of(GlueSettings {
        database: "lake".to_owned(),
        table: "clicks".to_owned(),
        catalog_id: None,
        create: false,
        update: None,
        access: AwsAccess::default(),
    })
}

fn table() -> ToldTable {
    let answer = json!({ "Table": {
        "Name": "clicks",
        "PartitionKeys": [{ "Name": "k", "Type": "string" }],
        "StorageDescriptor": {
            "Columns": [{ "Name": "id", "Type": "bigint" }],
            "Location": "s3://lake/clicks/",
            "SerdeInfo": { "SerializationLibrary": "a.SerDe", "Parameters": { "x": "1" } },
        },
    }});
    ToldTable::of(&answer).unwrap()
}

#[test]
fn a_call_has_at_most_a_hundred_partitions_each_with_the_storage_of_the_table_at_its_own_place() {
    let (glue, table) = (glue(), table());
    let places: Vec<String> = (0..250)
        .map(|number| format!("s3://lake/clicks/k=a%2F{number:03}/"))
        .collect();
    let values: Vec<_> = places
        .iter()
        .map(|place| table.values(place).unwrap())
        .collect();
    let wanted: Vec<Wanted<'_>> = values.iter().zip(&places).collect();
    let bodies = wanted.chunks(BATCH_MAX);
    let bodies: Vec<Value> = bodies.map(|some| glue.creation(&table, some)).collect();
    let inputs = |body: &Value| body["PartitionInputList"].as_array().unwrap().clone();
    let counts: Vec<usize> = bodies.iter().map(|body| inputs(body).len()).collect();
    assert_eq!(counts, [100, 100, 50]);
    assert_eq!(bodies[0]["DatabaseName"], "lake");
    assert_eq!(bodies[0]["TableName"], "clicks");
    let all: Vec<Value> = bodies.iter().flat_map(inputs).collect();
    for (number, input) in all.iter().enumerate() {
        let expected = json!({
            "Values": [format!("a/{number:03}")],
            "StorageDescriptor": {
                "Columns": [{ "Name": "id", "Type": "bigint" }],
                "Location": format!("s3://lake/clicks/k=a%2F{number:03}/"),
                "SerdeInfo": { "SerializationLibrary": "a.SerDe", "Parameters": { "x": "1" } },
            },
        });
        assert_eq!(input, &expected);
    }
}

#[test]
fn what_is_known_already_is_success_and_what_may_pass_is_told_again() {
    let fate_of = |code: &str| {
        fate(&json!({
            "PartitionValues": ["a"],
            "ErrorDetail": { "ErrorCode": code, "ErrorMessage": "told" },
        }))
    };
    assert_eq!(fate_of("AlreadyExistsException"), Fate::Known);
    let (code, cause) = ("InvalidInputException".to_owned(), "told".to_owned());
    assert_eq!(fate_of(&code), Fate::Refused { code, cause });
    for code in ["InternalServiceException", "OperationTimeoutException", ""] {
        assert!(matches!(fate_of(code), Fate::Later { .. }), "{code}");
    }
}

fn draft() -> TableDraft {
    TableDraft {
        columns: vec![("Id".to_owned(), "bigint".to_owned())],
        keys: vec!["k".to_owned()],
        location: "s3://lake/clicks/".to_owned(),
        classes: StorageClasses {
            classification: "parquet",
            input_format: "In",
            output_format: "Out",
            serde: "SerDe",
            serde_parameters: vec![("x", "1".to_owned())],
            parameters: vec![("y", "2".to_owned())],
            reading: Reading::ByName,
        },
    }
}

#[test]
fn a_table_that_is_made_is_told_as_athena_would() {
    let draft = draft();
    let input = table_input("clicks", &draft);
    assert_eq!(
        input["StorageDescriptor"]["Columns"],
        json!([{ "Name": "id", "Type": "bigint" }])
    );
    assert_eq!(
        input["PartitionKeys"],
        json!([{ "Name": "k", "Type": "string" }])
    );
    let expected = json!({ "y": "2", "EXTERNAL": "TRUE", "classification": "parquet" });
    assert_eq!(input["Parameters"], expected);
    let serde = &input["StorageDescriptor"]["SerdeInfo"];
    assert_eq!(serde["Parameters"], json!({ "x": "1" }));
    // What is made gives its partitions the same as what is drafted.
    let made = ToldTable::of(&json!({ "Table": input })).unwrap();
    assert_eq!(made, ToldTable::drafted("clicks", &draft));
    let view = json!({ "Table": { "Name": "v", "TableType": "VIRTUAL_VIEW" } });
    assert!(ToldTable::of(&view).is_err());
}

#[test]
fn a_place_is_the_same_however_its_url_ends_and_begins() {
    assert!(is_same_place("s3://lake/a", "s3://lake/a/"));
    assert!(is_same_place("s3a://lake/a", "s3://lake/a/"));
    assert!(!is_same_place("s3://lake/a", "s3://lake/a/b/"));
}

#[test]
fn a_fault_that_names_no_partition_of_the_call_leaves_none_told() {
    let (one, other) = (vec!["a".to_owned()], vec!["b".to_owned()]);
    let place = "s3://lake/clicks/".to_owned();
    let some = [(&one, &place), (&other, &place)];
    let error = |values: Value, code: &str| json!({ "PartitionValues": values, "ErrorDetail": { "ErrorCode": code } });
    let answer = json!({ "Errors": [error(json!(["a"]), "AlreadyExistsException")] });
    assert_eq!(
        faults(&answer, &some),
        HashMap::from([(one.clone(), Fate::Known)])
    );
    let answer = json!({ "Errors": [error(json!(["a"]), "AlreadyExistsException"), error(Value::Null, "InternalServiceException")] });
    let found = faults(&answer, &some);
    assert_eq!(found[&one], Fate::Known);
    assert!(matches!(&found[&other], Fate::Later { code, .. } if code == "UnclearAnswer"));
}
