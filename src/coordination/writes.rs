//! The writes to the lease table. Each is one conditional request, made once: without an answer it may
//! land at any time after, and its condition sees to it that it does no harm then.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::decisions::{self, Change, Condition, Item as _, Reply, Taking, Tenure};
use super::error::LeaseError;
use super::item::{KclCheckpoint, LeaseCheckpoint, LeaseItem, TableTerms, name};
use super::table::LeaseTable;
use crate::shard::{ShardId, SourceName};

/// A lease that no item stands for yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewLease {
    pub(super) shard: ShardId,
    pub(super) checkpoint: KclCheckpoint,
    /// What `LATEST` or `AT_TIMESTAMP` mean.
    pub(super) start_ms: Option<i64>,
    pub(super) parents: Vec<String>,
    pub(super) hash_keys: (String, String),
}

/// Who writes, in which tenure.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub(super) table: LeaseTable,
    pub(super) shard: ShardId,
    pub(super) tenure: Tenure<TableTerms>,
}

type Write = decisions::Write<TableTerms>;

/// A change of an item on conditions.
#[derive(Debug, Default, PartialEq)]
struct ItemUpdate {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
    set: Vec<String>,
    remove: Vec<String>,
    when: Vec<String>,
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn number(number: impl ToString + Copy) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

impl ItemUpdate {
    /// What was decided, in the words of `DynamoDB`.
    fn of(write: &Write) -> Self {
        let change = Self::default().when_all(&write.when);
        write.set.iter().fold(change, Self::change)
    }

    fn when_all(self, conditions: &[Condition<TableTerms>]) -> Self {
        let when = |change: Self, condition: &Condition<TableTerms>| match condition {
            Condition::Owner(owner) => change.when(name::OWNER, owner.as_deref().map(text)),
            Condition::Counter(counter) => change.when(name::COUNTER, counter.map(number)),
            Condition::Fence(fence) => change.when(name::FENCE, fence.map(number)),
            Condition::Number(after) => change.when(name::NUMBER, after.map(number)),
        };
        conditions.iter().fold(self, when)
    }

    fn change(self, change: &Change<TableTerms>) -> Self {
        match change {
            Change::Owner(Some(owner)) => self.set(name::OWNER, text(owner)),
            Change::Owner(None) => self.remove(name::OWNER),
            Change::Take(draw) => self.set(name::TAKE, text(draw)),
            Change::Counter(counter) => self.set(name::COUNTER, number(*counter)),
            Change::Beat => self.add_one(name::COUNTER),
            Change::Fence(fence) => self.set(name::FENCE, number(*fence)),
            Change::Number(next) => self.set(name::NUMBER, number(*next)),
            Change::FirstNumber(first) => self.set_first(name::NUMBER, number(*first)),
            Change::Checkpoint(written) => self.checkpoint(written),
        }
    }

    /// What a checkpoint says, for us and for KCL.
    fn checkpoint(self, written: &LeaseCheckpoint) -> Self {
        let reached = if written.ended {
            Some(KclCheckpoint::ShardEnd)
        } else {
            written.position.map(KclCheckpoint::At)
        };
        let reached = reached.map(|reached| reached.written());
        let (sequence, sub_sequence) = reached.unzip();
        let mut change = self
            .set(name::WAITING, number(written.waiting))
            .set(name::SWITCHES, number(0))
            .set_if(name::UNTIL, written.until_ms.map(number))
            .set_if(name::CHECKPOINT, sequence.as_deref().map(text))
            .set_if(name::SUB_SEQUENCE, sub_sequence.map(number));
        for pending in name::PENDING {
            change = change.remove(pending);
        }
        match &written.body {
            Some(body) => change
                .set(name::BODY, text(&body.key))
                .set(name::BODY_CRC, number(body.crc64)),
            None => change.remove(name::BODY).remove(name::BODY_CRC),
        }
    }

    fn name(&mut self, name: &str) {
        self.names.insert(format!("#{name}"), name.to_owned());
    }

    fn set(mut self, name: &str, value: AttributeValue) -> Self {
        self.name(name);
        self.set.push(format!("#{name} = :{name}"));
        self.values.insert(format!(":{name}"), value);
        self
    }

    fn set_if(self, name: &str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    /// Where it is not there yet.
    fn set_first(mut self, name: &str, value: AttributeValue) -> Self {
        self.name(name);
        self.set
            .push(format!("#{name} = if_not_exists(#{name}, :{name})"));
        self.values.insert(format!(":{name}"), value);
        self
    }

    fn add_one(mut self, name: &str) -> Self {
        self.name(name);
        self.set
            .push(format!("#{name} = if_not_exists(#{name}, :zero) + :one"));
        self.values.insert(":zero".to_owned(), number(0));
        self.values.insert(":one".to_owned(), number(1));
        self
    }

    fn remove(mut self, name: &str) -> Self {
        self.name(name);
        self.remove.push(format!("#{name}"));
        self
    }

    /// Only where it has this value; `None`: only where it has none.
    fn when(mut self, name: &str, value: Option<AttributeValue>) -> Self {
        self.name(name);
        match value {
            Some(value) => {
                self.when.push(format!("#{name} = :was_{name}"));
                self.values.insert(format!(":was_{name}"), value);
            }
            None => self.when.push(format!("attribute_not_exists(#{name})")),
        }
        self
    }

    fn expression(&self) -> String {
        let mut expression = format!("SET {}", self.set.join(", "));
        if !self.remove.is_empty() {
            expression.push_str(" REMOVE ");
            expression.push_str(&self.remove.join(", "));
        }
        expression
    }

    /// Makes the change; gives the item as it is then.
    async fn make(self, table: &LeaseTable, shard: &str) -> Result<LeaseItem, LeaseError> {
        let of = || format!("{shard} in {}", table.named());
        let request = table.client.update_item().table_name(&table.name);
        let request = request
            .key(name::KEY, text(shard))
            .update_expression(self.expression())
            .condition_expression(self.when.join(" AND "))
            .set_expression_attribute_names(Some(self.names))
            .set_expression_attribute_values(Some(self.values))
            .return_values(ReturnValue::AllNew);
        let answer = request.send().await;
        let answer = answer.map_err(|error| table.failed(&error, "UpdateItem", &of()))?;
        let item = answer.attributes.as_ref().map(LeaseItem::parse);
        let unreadable = |fault: String| LeaseError::Transient(fault.into());
        let item = item.transpose().map_err(unreadable)?.flatten();
        item.ok_or_else(|| LeaseError::empty(format!("UpdateItem of {}", of())))
    }
}

/// What a take of `seen` writes, with what KCL counts and what `LATEST` means.
fn take(seen: &LeaseItem, taking: &Taking<TableTerms>, now_ms: i64) -> ItemUpdate {
    let change = ItemUpdate::of(&taking.write(&seen.facts()))
        .add_one(name::SWITCHES)
        .remove(name::CHECKPOINT_OWNER);
    // What `LATEST` means is fixed by whoever takes it first.
    if seen.checkpoint == KclCheckpoint::Latest {
        change.set_first(name::START, number(now_ms))
    } else {
        change
    }
}

impl From<Result<LeaseItem, LeaseError>> for Reply<LeaseItem> {
    fn from(answer: Result<LeaseItem, LeaseError>) -> Self {
        match answer {
            Ok(item) => Self::Done(item),
            Err(LeaseError::Refused(_)) => Self::Refused,
            Err(_) => Self::Lost,
        }
    }
}

impl LeaseTable {
    /// Takes a lease as `seen`; gives the item as this very write left it.
    pub(super) async fn take(
        &self,
        seen: &LeaseItem,
        taking: &Taking<TableTerms>,
        now_ms: i64,
    ) -> Result<LeaseItem, LeaseError> {
        let change = take(seen, taking, now_ms);
        change.make(self, &seen.shard).await
    }

    /// Makes an item for a shard that has none.
    pub(super) async fn add(
        &self,
        lease: &NewLease,
        source: &SourceName,
    ) -> Result<(), LeaseError> {
        let (checkpoint, sub_sequence) = lease.checkpoint.written();
        let (first, last) = &lease.hash_keys;
        let mut item = HashMap::from([
            (name::KEY, text(&lease.shard)),
            (name::COUNTER, number(0)),
            (name::SWITCHES, number(0)),
            (name::CHECKPOINT, text(&checkpoint)),
            (name::SUB_SEQUENCE, number(sub_sequence)),
            (name::FIRST_HASH_KEY, text(first)),
            (name::LAST_HASH_KEY, text(last)),
            (name::STREAM, text(&source.arn)),
            (name::CREATED, number(source.created_ms)),
        ]);
        if !lease.parents.is_empty() {
            item.insert(name::PARENTS, AttributeValue::Ss(lease.parents.clone()));
        }
        item.extend(lease.start_ms.map(|ms| (name::START, number(ms))));
        let item = item
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        let request = self.client.put_item().table_name(&self.name);
        let request = request
            .set_item(Some(item.collect()))
            .condition_expression("attribute_not_exists(#key)")
            .expression_attribute_names("#key", name::KEY);
        let of = || format!("{} in {}", lease.shard, self.named());
        let answer = request.send().await;
        answer.map_err(|error| self.failed(&error, "PutItem", &of()))?;
        Ok(())
    }

    /// Deletes the item of a shard that is done, if nothing has changed since it was seen.
    pub(super) async fn delete(&self, seen: &LeaseItem) -> Result<(), LeaseError> {
        let change = ItemUpdate::default().when_all(&decisions::deletion(&seen.facts()));
        let request = self.client.delete_item().table_name(&self.name);
        let request = request
            .key(name::KEY, text(&seen.shard))
            .condition_expression(change.when.join(" AND "))
            .set_expression_attribute_names(Some(change.names))
            .set_expression_attribute_values(Some(change.values));
        let of = || format!("{} in {}", seen.shard, self.named());
        let answer = request.send().await;
        answer.map_err(|error| self.failed(&error, "DeleteItem", &of()))?;
        Ok(())
    }
}

impl Holder {
    /// The heartbeat.
    pub(super) async fn renew(&self) -> Result<(), LeaseError> {
        self.write(&self.tenure.renewal()).await.map(|_| ())
    }

    /// Changes the item; gives it as this very write left it.
    pub(super) async fn write(&self, write: &Write) -> Result<LeaseItem, LeaseError> {
        ItemUpdate::of(write).make(&self.table, &self.shard).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordination::decisions::Chain;
    use crate::coordination::item::tests::lease;

    #[test]
    fn a_take_is_written_where_nothing_has_changed_since_it_was_looked_at() {
        let taking = Taking::new("me".to_owned(), "drawn".to_owned());
        let taken = take(&lease("a"), &taking, 5);
        assert_eq!(
            taken.when,
            [
                "#leaseCounter = :was_leaseCounter",
                "attribute_not_exists(#leaseOwner)",
                "attribute_not_exists(#firehoseFence)",
            ]
        );
        assert_eq!(taken.values[":firehoseFence"], number(1));
        let seen = LeaseItem {
            owner: Some("other".into()),
            counter: 8,
            fence: Some(3),
            checkpoint: KclCheckpoint::Latest,
            ..lease("a")
        };
        let taken = take(&seen, &taking, 5);
        assert_eq!(taken.values[":was_leaseOwner"], text("other"));
        assert_eq!(taken.values[":was_leaseCounter"], number(8));
        assert_eq!(taken.values[":leaseCounter"], number(9));
        assert_eq!(taken.values[":was_firehoseFence"], number(3));
        assert_eq!(taken.values[":firehoseFence"], number(4));
        assert_eq!(taken.values[":firehoseStart"], number(5));
        let expression = taken.expression();
        assert!(expression.contains("#firehoseStart = if_not_exists(#firehoseStart"));
        assert!(expression.ends_with(" REMOVE #checkpointOwner"));
    }
    /// The update and its condition, with values in place of their names.
    fn told(update: &ItemUpdate) -> (String, String) {
        let (mut expression, mut when) = (update.expression(), update.when.join(" AND "));
        let mut values: Vec<_> = update.values.iter().collect();
        // A name may begin another.
        values.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        for (name, value) in values {
            let value = match value {
                AttributeValue::S(text) | AttributeValue::N(text) => text,
                other => panic!("{other:?}"),
            };
            expression = expression.replace(name, value);
            when = when.replace(name, value);
        }
        (expression, when)
    }

    #[test]
    fn a_holder_writes_as_long_as_owner_and_fencing_number_are_its_own() {
        let taking = Taking::new("me".to_owned(), "drawn".to_owned());
        let item = LeaseItem {
            owner: Some("me".into()),
            take: Some("drawn".into()),
            fence: Some(4),
            number: Some(7),
            ..lease("a")
        };
        let taken = taking.found(Some(item.clone())).unwrap();
        let tenure = taking.tenure(&taken).unwrap();
        let mut chain = Chain::of(tenure.clone(), &taken);
        let held = "#leaseOwner = me AND #firehoseFence = 4";
        let beat = "#leaseCounter = if_not_exists(#leaseCounter, 0) + 1";
        let renewal = told(&ItemUpdate::of(&tenure.renewal()));
        assert_eq!(renewal, (format!("SET {beat}"), held.to_owned()));
        let after = format!("{held} AND #firehoseCheckpoint = 7");
        let release = told(&ItemUpdate::of(&chain.release()));
        let let_go = format!("SET {beat} REMOVE #leaseOwner");
        assert_eq!(release, (let_go, after.clone()));
        let written = LeaseCheckpoint {
            ended: true,
            ..LeaseCheckpoint::default()
        };
        let write = chain.begin(written.clone()).unwrap();
        let (expression, when) = told(&ItemUpdate::of(&write));
        assert_eq!(when, after);
        assert_eq!(
            expression,
            "SET #firehoseCheckpoint = 8, #firehoseWaiting = 0, #ownerSwitchesSinceCheckpoint = 0, \
             #checkpoint = SHARD_END, #checkpointSubSequenceNumber = 0 \
             REMOVE #pendingCheckpoint, #pendingCheckpointSubSequenceNumber, #pendingCheckpointState, \
             #firehoseBody, #firehoseBodyCrc64"
        );
        assert_eq!(chain.begin(written), None, "another may still land");
        let deletion = ItemUpdate::default().when_all(&decisions::deletion(&item.facts()));
        assert_eq!(
            deletion.when,
            [
                "#leaseOwner = :was_leaseOwner",
                "#firehoseCheckpoint = :was_firehoseCheckpoint",
                "#leaseCounter = :was_leaseCounter"
            ]
        );
    }
}
