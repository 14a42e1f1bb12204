//! Partitions, told to a Glue that takes some of them and not others.

use super::scripted::Scripted;
use super::*;

fn places(count: usize) -> Vec<String> {
    let place = |number| format!("s3://lake/clicks/k={number:03}/");
    (0..count).map(place).collect()
}

/// The values that a `BatchCreatePartition` tells of.
fn told(body: &Value) -> Vec<String> {
    let inputs = body["PartitionInputList"].as_array().unwrap().iter();
    inputs
        .map(|input| input["Values"][0].as_str().unwrap().to_owned())
        .collect()
}

fn the_table() -> Value {
    json!({ "Table": {
        "Name": "clicks",
        "VersionId": "7",
        "PartitionKeys": [{ "Name": "k", "Type": "string" }],
        "StorageDescriptor": { "Columns": [], "Location": "s3://lake/clicks/" },
    } })
}

#[tokio::test]
async fn hundred_partitions_are_told_at_a_time_and_each_has_a_fate_of_its_own() {
    let fault = |value: &str, code: &str| {
        let detail = json!({ "ErrorCode": code, "ErrorMessage": "scripted" });
        json!({ "PartitionValues": [value], "ErrorDetail": detail })
    };
    let faults = [
        fault("007", "AlreadyExistsException"),
        fault("108", "InvalidInputException"),
        fault("209", "InternalServiceException"),
    ];
    let scripted = Scripted::start(move |operation, body| {
        if operation == "GetTable" {
            return Ok(the_table());
        }
        let told = told(body);
        let is_in = |fault: &&Value| {
            told.iter()
                .any(|value| fault["PartitionValues"][0] == **value)
        };
        let errors: Vec<&Value> = faults.iter().filter(is_in).collect();
        Ok(json!({ "Errors": errors }))
    })
    .await;
    let places = places(250);
    let found = scripted.glue.tell(&places, &TableWish::default()).await;
    let fates = found.unwrap().fates.unwrap();
    let cause = || "scripted".to_owned();
    for (number, fate) in fates.iter().enumerate() {
        let expected = match number {
            7 => Fate::Known,
            108 => Fate::Refused {
                code: "InvalidInputException".to_owned(),
                cause: cause(),
            },
            209 => Fate::Later {
                code: "InternalServiceException".to_owned(),
                cause: cause(),
            },
            _ => Fate::Told,
        };
        assert_eq!(*fate, expected, "{number}");
    }
    let asked = scripted.asked();
    assert_eq!(asked[0].0, "GetTable");
    let all: Vec<Vec<String>> = asked[1..].iter().map(|(_, body)| told(body)).collect();
    let counts: Vec<usize> = all.iter().map(Vec::len).collect();
    assert_eq!(counts, [100, 100, 50]);
    let expected: Vec<String> = (0..250).map(|number| format!("{number:03}")).collect();
    assert_eq!(all.concat(), expected);
}

#[tokio::test]
async fn a_call_that_is_refused_for_one_partition_is_made_by_halves_until_that_is_alone() {
    let scripted = Scripted::start(|operation, body| match operation {
        "GetTable" => Ok(the_table()),
        _ if told(body).contains(&"037".to_owned()) => Err("InvalidInputException"),
        _ => Ok(json!({})),
    })
    .await;
    let places = places(150);
    let found = scripted.glue.tell(&places, &TableWish::default()).await;
    let fates = found.unwrap().fates.unwrap();
    let refused: Vec<usize> = (0..150)
        .filter(|number| fates[*number] != Fate::Told)
        .collect();
    assert_eq!(refused, [37]);
    assert!(matches!(&fates[37], Fate::Refused { code, .. } if code == "InvalidInputException"));
    let calls: Vec<Vec<String>> = scripted.asked()[1..]
        .iter()
        .map(|(_, body)| told(body))
        .collect();
    let taken = calls
        .iter()
        .filter(|call| !call.contains(&"037".to_owned()));
    let mut taken: Vec<&String> = taken.flatten().collect();
    taken.sort();
    let others: Vec<String> = (0..150)
        .filter(|number| *number != 37)
        .map(|number| format!("{number:03}"))
        .collect();
    assert_eq!(taken, others.iter().collect::<Vec<_>>(), "each once");
    // One hundred and its halves down to one, two calls each, and the other fifty.
    assert!(calls.len() <= 2 + 2 * 7, "{} calls", calls.len());
}

#[tokio::test]
async fn what_is_refused_whatever_it_holds_is_asked_once_and_says_what_to_do() {
    for (code, advice, calls) in [
        ("AccessDeniedException", "glue:BatchCreatePartition", 1),
        ("ThrottlingException", "", 1),
        // It might be for one of them, but it is for none.
        ("EntityNotFoundException", "firehose schema show", 7),
    ] {
        let scripted = Scripted::start(move |operation, _| match operation {
            "GetTable" => Ok(the_table()),
            _ => Err(code),
        })
        .await;
        let places = places(4);
        let found = scripted.glue.tell(&places, &TableWish::default()).await;
        let error = found.unwrap().fates.unwrap_err();
        assert_eq!(error.code, code);
        assert!(error.advice.contains(advice), "{error}");
        assert_eq!(error.advice.is_empty(), advice.is_empty(), "{error}");
        assert_eq!(scripted.operations().len(), 1 + calls, "{code}");
    }
}

#[tokio::test]
async fn a_list_of_partitions_goes_on_at_the_page_that_was_refused_for_a_while() {
    let mut throttled = 0;
    let scripted = Scripted::start(move |operation, body| {
        if operation == "GetTable" {
            return Ok(the_table());
        }
        let page = body["NextToken"].as_str().unwrap_or("0").to_owned();
        if page == "1" && throttled < 2 {
            throttled += 1;
            return Err("ThrottlingException");
        }
        let partitions: Vec<Value> = (0..2)
            .map(|of_page| {
                let value = format!("{page}{of_page}");
                let place = format!("s3://lake/clicks/k={value}");
                json!({ "Values": [value], "StorageDescriptor": { "Location": place } })
            })
            .collect();
        let mut answer = json!({ "Partitions": partitions });
        match &*page {
            "0" => answer["NextToken"] = "1".into(),
            "1" => answer["NextToken"] = "2".into(),
            _ => {}
        }
        Ok(answer)
    })
    .await;
    let place = |value: &str| format!("s3://lake/clicks/k={value}/");
    let places = ["00", "01", "10", "11", "20", "21", "30"].map(place);
    let compared = scripted.glue.compare(&places, &TableWish::default()).await;
    let mut expected = vec![Standing::Known; 6];
    expected.push(Standing::New);
    assert_eq!(compared.unwrap().standings, expected);
    let tokens: Vec<Value> = scripted.asked()[1..]
        .iter()
        .map(|(_, body)| body["NextToken"].clone())
        .collect();
    assert_eq!(json!(tokens), json!([null, "1", "1", "1", "2"]));

    let scripted = Scripted::start(|operation, _| match operation {
        "GetTable" => Ok(the_table()),
        _ => Err("AccessDeniedException"),
    })
    .await;
    let compared = scripted.glue.compare(&places, &TableWish::default()).await;
    let error = compared.unwrap_err();
    assert!(error.advice.contains("glue:GetPartitions"), "{error}");
    assert_eq!(scripted.operations(), ["GetTable", "GetPartitions"]);
}

#[tokio::test]
async fn every_call_names_the_catalog_of_the_config_and_none_where_it_has_none() {
    for id in [None, Some("123456789012")] {
        let mut is_made = false;
        let scripted = Scripted::of_account(id, move |operation, _| match operation {
            "GetTable" if !is_made => Err("EntityNotFoundException"),
            "GetTable" => Ok(the_table()),
            "CreateTable" => {
                is_made = true;
                Ok(json!({}))
            }
            _ => Ok(json!({})),
        })
        .await;
        let wish = TableWish {
            draft: Some(draft()),
            objects: None,
        };
        let places = places(1);
        let told = scripted.glue.tell(&places, &wish).await.unwrap();
        assert_eq!(told.fates.unwrap(), [Fate::Told]);
        scripted.glue.compare(&places, &wish).await.unwrap();
        let asked = scripted.asked();
        let operations: Vec<&str> = asked.iter().map(|(operation, _)| &**operation).collect();
        let expected = [
            "GetTable",
            "CreateTable",
            "GetTable",
            "BatchCreatePartition",
            "GetTable",
            "GetPartitions",
        ];
        assert_eq!(operations, expected);
        for (operation, body) in &asked {
            assert_eq!(body["CatalogId"].as_str(), id, "{operation}");
        }
    }
}
