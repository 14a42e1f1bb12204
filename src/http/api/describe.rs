//! `DescribeDeliveryStream` and `ListDeliveryStreams`.

use std::ops::Bound;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ACCOUNT, ApiError, BorrowedText, Operation, Violations, parse, stream};
use crate::config::{
    Asked, AwsSource, BufferingSettings, ColumnRules, StoreSettings, StreamSettings, StreamType,
};
use crate::http::entry::{self, Caller};
use crate::http::{ApiState, StreamInfo};

/// The region in ARNs where the destination names none.
pub(super) const DEFAULT_REGION: &str = "us-east-1";
/// How many names a listing has without `Limit`.
const LIST_DEFAULT: usize = 10;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Describe<'a> {
    #[serde(borrow)]
    delivery_stream_name: Option<BorrowedText<'a>>,
    limit: Option<i64>,
    #[serde(borrow)]
    exclusive_start_destination_id: Option<BorrowedText<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List<'a> {
    limit: Option<i64>,
    #[serde(borrow)]
    delivery_stream_type: Option<BorrowedText<'a>>,
    #[serde(borrow)]
    exclusive_start_delivery_stream_name: Option<BorrowedText<'a>>,
}

/// `ListDeliveryStreams`: the answer's JSON.
///
/// A key sees the streams that it may have described; the service would refuse one that is not for all of them.
pub(super) fn list(state: &ApiState, caller: &Caller, body: &[u8]) -> Result<String, ApiError> {
    let operation = Operation::ListDeliveryStreams;
    if !caller.may_at_all(operation.action()) {
        let why = entry::not_granted(operation.name(), "*");
        return Err(state.keys.denied(why, caller).into());
    }
    let request: List<'_> = parse(operation, body)?;
    let mut violations = Violations::default();
    violations.check_limit(request.limit);
    let start = request
        .exclusive_start_delivery_stream_name
        .as_ref()
        .map(|text| &*text.0);
    if start.is_some() {
        violations.check_name("exclusiveStartDeliveryStreamName", start);
    }
    let wanted = request.delivery_stream_type.as_ref().map(|text| &*text.0);
    let types = StreamType::ALL.map(StreamType::word);
    if wanted.is_some_and(|wanted| !types.contains(&wanted)) {
        violations.push(
            "deliveryStreamType",
            &format!("Member must satisfy enum value set: [{}]", types.join(", ")),
        );
    }
    violations.into_result()?;

    let limit = request
        .limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(LIST_DEFAULT);
    let after = start.map_or(Bound::Unbounded, Bound::Excluded);
    let mut names = state
        .streams
        .range::<str, _>((after, Bound::Unbounded))
        .filter(|(name, stream)| {
            caller.may(operation.action(), name)
                && wanted.is_none_or(|wanted| wanted == aws_source(stream).stream_type.word())
        })
        .map(|(name, _)| name.as_str());
    let page: Vec<&str> = names.by_ref().take(limit).collect();
    let more = names.next().is_some();
    Ok(json!({ "DeliveryStreamNames": page, "HasMoreDeliveryStreams": more }).to_string())
}

/// `DescribeDeliveryStream`: the answer's JSON.
pub(super) fn describe(state: &ApiState, caller: &Caller, body: &[u8]) -> Result<String, ApiError> {
    let operation = Operation::DescribeDeliveryStream;
    let request: Describe<'_> = parse(operation, body)?;
    let mut violations = Violations::default();
    let name = request.delivery_stream_name.as_ref();
    violations.check_name("deliveryStreamName", name.map(|text| &*text.0));
    violations.check_limit(request.limit);
    violations.into_result()?;
    let stream = stream(state, caller, operation, name)?;
    let mut description = description(stream);
    // There is one destination: a page after it is empty.
    if request.exclusive_start_destination_id.is_some() {
        description["Destinations"] = json!([]);
    }
    Ok(json!({ "DeliveryStreamDescription": description }).to_string())
}

fn description(stream: &StreamInfo) -> Value {
    let settings = &stream.settings;
    let name = &stream.name;
    let region = region(settings);
    let AwsSource {
        stream_type,
        source,
    } = aws_source(stream);
    let mut description = json!({
        "DeliveryStreamName": name,
        "DeliveryStreamARN": format!("arn:aws:firehose:{region}:{ACCOUNT}:deliverystream/{name}"),
        "DeliveryStreamStatus": "ACTIVE",
        "DeliveryStreamEncryptionConfiguration": { "Status": "DISABLED" },
        "DeliveryStreamType": stream_type.word(),
        "VersionId": "1",
        "CreateTimestamp": seconds(stream.created_at_ms),
        "Destinations": [{
            "DestinationId": "destinationId-000000000001",
            "S3DestinationDescription": store_description(settings, &settings.destination.store),
            "ExtendedS3DestinationDescription": extended_description(settings),
        }],
        "HasMoreDestinations": false,
    });
    if let Some(source) = source {
        description["Source"] = source;
    }
    // Firehose calls a stream that cannot deliver ACTIVE too; at least say what is wrong.
    if let Some(cause) = stream.status.snapshot().state.cause() {
        description["FailureDescription"] = json!({ "Type": "UNKNOWN_ERROR", "Details": cause });
    }
    description
}

/// The stream's source in the words of the API.
pub(super) fn aws_source(stream: &StreamInfo) -> AwsSource {
    stream.settings.source.aws(&Asked {
        account: ACCOUNT,
        role: &role(),
        created_ms: stream.created_at_ms,
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 fit 53 bits"
)]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn role() -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/firehose")
}

fn region(settings: &StreamSettings) -> &str {
    let region = settings.destination.store.region();
    region.unwrap_or(DEFAULT_REGION)
}

/// What all descriptions of a destination hold.
fn store_description(settings: &StreamSettings, store: &StoreSettings) -> Value {
    let destination = &settings.destination;
    let mut description = json!({
        "RoleARN": role(),
        "BucketARN": store.arn(),
        "BufferingHints": hints(settings.buffering),
        "CompressionFormat": settings.format.compression_format(),
        "EncryptionConfiguration": match store.kms_key() {
            Some(key) => json!({ "KMSEncryptionConfig": { "AWSKMSKeyARN": key } }),
            None => json!({ "NoEncryptionConfig": "NoEncryption" }),
        },
        "CloudWatchLoggingOptions": { "Enabled": false },
    });
    if let Some(prefix) = &destination.prefix {
        description["Prefix"] = prefix.as_str().into();
    }
    if let Some(prefix) = &destination.error_prefix {
        description["ErrorOutputPrefix"] = prefix.as_str().into();
    }
    description
}

fn extended_description(settings: &StreamSettings) -> Value {
    let mut description = store_description(settings, &settings.destination.store);
    let mut processors = Vec::new();
    if let Some(query) = &settings.partitioning.query {
        processors.push(json!({
            "Type": "MetadataExtraction",
            "Parameters": [
                { "ParameterName": "MetadataExtractionQuery", "ParameterValue": query },
                { "ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6" },
            ],
        }));
        description["DynamicPartitioningConfiguration"] = json!({ "Enabled": true });
    }
    description["ProcessingConfiguration"] =
        json!({ "Enabled": !processors.is_empty(), "Processors": processors });
    description["S3BackupMode"] = "Disabled".into();
    if let Some(backup) = &settings.backup {
        let mut copy = store_description(settings, settings.destination.backup_store());
        copy["BufferingHints"] = hints(backup.buffering);
        copy["CompressionFormat"] = backup.format.compression_format().into();
        let fields = copy.as_object_mut().expect("a description is an object");
        fields.remove("ErrorOutputPrefix");
        match &backup.prefix {
            Some(prefix) => fields.insert("Prefix".into(), prefix.as_str().into()),
            None => fields.remove("Prefix"),
        };
        description["S3BackupMode"] = "Enabled".into();
        description["S3BackupDescription"] = copy;
    }
    if let Some(serializer) = settings.format.serializer() {
        let columns = settings.format.columns();
        let deserializer = match columns {
            Some(columns) => columns.rules.deserializer(),
            None => ColumnRules::default().deserializer(),
        };
        description["DataFormatConversionConfiguration"] = json!({
            "Enabled": true,
            "InputFormatConfiguration": { "Deserializer": deserializer },
            "OutputFormatConfiguration": { "Serializer": serializer },
        });
        if let Some(table) = settings.format.table() {
            let schema = table.configuration(&role(), region(settings));
            description["DataFormatConversionConfiguration"]["SchemaConfiguration"] = schema;
        }
    }
    if let Some(zone) = &settings.partitioning.time_zone {
        description["CustomTimeZone"] = zone.as_str().into();
    }
    description
}

fn hints(buffering: BufferingSettings) -> Value {
    json!({
        "SizeInMBs": buffering.size.div_ceil(1 << 20),
        "IntervalInSeconds": buffering.interval.as_secs(),
    })
}
