//! The lease table: made where it is missing, and read. Each request is made once; whoever asks tries
//! again.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType, TableStatus,
};

use super::error::LeaseError;
use super::item::{LeaseItem, name};
use crate::aws::{self, Endpoint, RequestError};
use crate::config::CoordinationSettings;
use crate::telemetry::Repeats;

/// A request without an answer is given up after a third of the failover time, at most after this.
const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(10);

/// One lease table. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct LeaseTable {
    pub(super) client: Client,
    /// Whom it asks.
    endpoint: Endpoint,
    /// What the log has been told lately of it.
    pub(super) repeats: Arc<Repeats>,
    pub(super) name: String,
}

/// What a scan has found.
#[derive(Debug, Default)]
pub struct Scanned {
    /// The leases.
    pub items: Vec<LeaseItem>,
    /// What is wrong with items that cannot be read: they are left alone.
    pub unreadable: Vec<String>,
}

impl LeaseTable {
    /// A client that sends each request once.
    pub(super) async fn connect(settings: &CoordinationSettings) -> Result<Self, LeaseError> {
        let found = aws::find(&settings.access).await;
        let found = found.ok_or_else(|| {
            let cause = format!("no region is known for lease table {}", settings.table);
            let cause = RequestError::from(cause);
            LeaseError::Permanent(cause.advised("set the source's `region`, or AWS_REGION"))
        })?;
        let timeout = (settings.failover / 3).min(REQUEST_TIMEOUT_MAX);
        let timeouts = aws::timeouts(timeout, timeout);
        let endpoint = Endpoint::of(
            "DynamoDB",
            "`dynamodb_endpoint` of the source",
            &settings.access,
            &found,
        );
        let config = aws::client_config!(aws_sdk_dynamodb, &found, endpoint, timeouts);
        Ok(Self {
            client: Client::from_conf(config.build()),
            endpoint,
            repeats: Arc::default(),
            name: settings.table.clone(),
        })
    }

    pub(super) fn named(&self) -> String {
        format!("lease table {}", self.name)
    }

    pub(super) fn failed<E>(
        &self,
        error: &SdkError<E, HttpResponse>,
        operation: &str,
        of: &str,
    ) -> LeaseError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        LeaseError::of(error, operation, of, &self.endpoint)
    }

    /// Whether the table is there and ready.
    pub(super) async fn is_ready(&self) -> Result<bool, LeaseError> {
        let request = self.client.describe_table().table_name(&self.name);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return Err(self.failed(&error, "DescribeTable", &self.named())),
        };
        let Some(table) = answer.table else {
            return Ok(false);
        };
        let is_key = |key: &KeySchemaElement| {
            key.attribute_name == name::KEY && key.key_type == KeyType::Hash
        };
        if !matches!(table.key_schema(), [key] if is_key(key)) {
            let cause = RequestError::from(format!("{} is a table of another kind", self.named()));
            return Err(LeaseError::Permanent(cause.advised(format!(
                "a lease table has the one key {}; name another with `lease_table`",
                name::KEY
            ))));
        }
        let status = table.table_status;
        Ok(matches!(
            status,
            Some(TableStatus::Active | TableStatus::Updating)
        ))
    }

    /// Makes the table, paid by request.
    pub(super) async fn create(&self) -> Result<(), LeaseError> {
        let wrong = |error: aws_sdk_dynamodb::error::BuildError| {
            let asked = format!("CreateTable of {}", self.named());
            let cause = RequestError::because(asked, error.to_string());
            LeaseError::Permanent(cause.advised("this should not be: report it"))
        };
        let attribute = AttributeDefinition::builder()
            .attribute_name(name::KEY)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .map_err(wrong)?;
        let key = KeySchemaElement::builder()
            .attribute_name(name::KEY)
            .key_type(KeyType::Hash)
            .build()
            .map_err(wrong)?;
        let request = self.client.create_table().table_name(&self.name);
        let request = request
            .attribute_definitions(attribute)
            .key_schema(key)
            .billing_mode(BillingMode::PayPerRequest);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed(&error, "CreateTable", &self.named())),
        }
    }

    /// Everything that the table holds of shards.
    pub(super) async fn scan(&self) -> Result<Scanned, LeaseError> {
        let mut scanned = Scanned::default();
        let mut from = None;
        loop {
            let request = self.client.scan().table_name(&self.name);
            let request = request
                .consistent_read(true)
                .set_exclusive_start_key(from.take());
            let answer = request.send().await;
            let answer = answer.map_err(|error| self.failed(&error, "Scan", &self.named()))?;
            for item in answer.items.unwrap_or_default() {
                match LeaseItem::parse(&item) {
                    Ok(item) => scanned.items.extend(item),
                    Err(fault) => scanned.unreadable.push(fault),
                }
            }
            match answer.last_evaluated_key {
                Some(last) if !last.is_empty() => from = Some(last),
                _ => return Ok(scanned),
            }
        }
    }

    /// The lease of a shard as it is now, for certain.
    pub(super) async fn get(&self, shard: &str) -> Result<Option<LeaseItem>, LeaseError> {
        let request = self.client.get_item().table_name(&self.name);
        let request = request
            .key(name::KEY, AttributeValue::S(shard.to_owned()))
            .consistent_read(true);
        let of = || format!("{shard} in {}", self.named());
        let answer = request.send().await;
        let answer = answer.map_err(|error| self.failed(&error, "GetItem", &of()))?;
        let parsed = answer.item.as_ref().map(LeaseItem::parse);
        let unreadable =
            |fault| {
                let cause = RequestError::because(self.named(), fault);
                LeaseError::Permanent(cause.advised(
                    "mend or delete the item; deleting it means that the shard is read anew",
                ))
            };
        let item = parsed.transpose().map_err(unreadable)?;
        Ok(item.flatten())
    }
}
