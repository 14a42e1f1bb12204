//! Where the partitions lie that a table in Glue has.

#![expect(
    clippy::disallowed_methods,
    reason = "a page that was refused is asked for again after a while"
)]

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{CallError, Glue, strings};
use crate::retry;

/// How often a page is asked for, before the list is given up.
const ATTEMPTS_MAX: u32 = 5;

impl Glue {
    /// The place of every partition, by its values.
    pub(super) async fn partitions(&self) -> Result<HashMap<Vec<String>, String>, CallError> {
        let mut known = HashMap::new();
        let mut next = Value::Null;
        loop {
            let mut body = json!({
                "DatabaseName": self.settings.database,
                "TableName": self.settings.table,
                "ExcludeColumnSchema": true,
            });
            if next.is_string() {
                body["NextToken"] = next.clone();
            }
            let mut answer = self.patiently("GetPartitions", &body).await?;
            for partition in answer["Partitions"].as_array().into_iter().flatten() {
                let place = &partition["StorageDescriptor"]["Location"];
                let place = place.as_str().unwrap_or_default().to_owned();
                known.insert(strings(&partition["Values"]), place);
            }
            let before = std::mem::replace(&mut next, answer["NextToken"].take());
            if next.as_str().is_none_or(str::is_empty) || next == before {
                return Ok(known);
            }
        }
    }

    /// Asks again where what fails may pass by itself: a person waits for the whole.
    pub(super) async fn patiently(
        &self,
        operation: &'static str,
        body: &Value,
    ) -> Result<Value, CallError> {
        let mut attempt = 0;
        loop {
            let error = match self.call(operation, body.clone()).await {
                Err(CallError::Service(error)) if error.may_pass() => error,
                settled => return settled,
            };
            attempt += 1;
            if attempt >= ATTEMPTS_MAX {
                return Err(CallError::Service(error));
            }
            tokio::time::sleep(retry::delay(attempt, retry::TRANSIENT_MAX)).await;
        }
    }
}
