//! `state discard NAME --object KEY`: takes a lost upload off the list of a shared stream's checkpoint.

use std::io::Write;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use uuid::Uuid;

use super::{CommandError, named, runtime};
use crate::clock::Clock;
use crate::config::{Config, CoordinationSettings, StreamSettings};
use crate::coordination::{self, BodyName, Lease, LeaseCheckpoint};
use crate::destination::Destination;
use crate::pipeline::Body;
use crate::telemetry::{CoordinationMetrics, Metrics};

/// Writes the checkpoint that lists the object again without it. The daemons may run: whoever holds the
/// lease loses it, and it is free at once.
pub(super) fn run(
    config: &Config,
    stream: &str,
    key: &str,
    yes: bool,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let stream = named(config, stream)?;
    let Some(settings) = stream.source.coordination() else {
        return Err(CommandError::Usage(format!(
            "stream {} is not shared",
            stream.name
        )));
    };
    runtime()?.block_on(unlist(stream, settings, key, yes, out))
}

async fn unlist(
    stream: &StreamSettings,
    settings: &CoordinationSettings,
    key: &str,
    yes: bool,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let destination = Destination::connect(&stream.destination.store).await;
    let destination = destination.context("reach the destination")?;
    let scanned = coordination::list(settings).await;
    let items = scanned.map_err(anyhow::Error::from)?.items;
    let mut waiting = Vec::new();
    for item in items {
        let Some(name) = &item.body else { continue };
        let body = read(&destination, name, &item.shard).await?;
        let Some(found) = body
            .listed
            .iter()
            .find(|listed| listed.object.target.key == key)
        else {
            waiting.extend(
                body.listed
                    .into_iter()
                    .map(|listed| listed.object.target.key),
            );
            continue;
        };
        writeln!(
            out,
            "{key} holds {} records of {}, {}",
            found.object.records, item.shard, found.range
        )?;
        if !yes {
            return Err(CommandError::Usage(
                "nothing was done: add --yes to give them up".to_owned(),
            ));
        }
        let lease = seize(stream, settings, &item.shard).await?;
        write_without(&destination, &lease, key).await?;
        lease.release().await;
        writeln!(out, "it is not waited for any more")?;
        return Ok(());
    }
    Err(CommandError::Usage(format!(
        "no checkpoint of {} lists {key}; there are: {}",
        stream.name,
        waiting.join(", ")
    )))
}

async fn read(destination: &Destination, name: &BodyName, shard: &str) -> anyhow::Result<Body> {
    let bytes = destination.read_body(&name.key).await?;
    let bytes = bytes.with_context(|| format!("{} is not there", name.key))?;
    Ok(Body::read(&bytes, name.crc64, shard, &name.key)?)
}

async fn seize(
    stream: &StreamSettings,
    settings: &CoordinationSettings,
    shard: &str,
) -> anyhow::Result<Lease> {
    let metrics = CoordinationMetrics::new(&Arc::new(Metrics::new()?), &stream.name);
    let (worker, now_ms) = (coordination::drawn_name(), Clock::system().now_ms());
    Ok(coordination::seize(settings, shard, worker, now_ms, metrics).await?)
}

/// Writes the checkpoint that follows the one which the take returned: the same, without one object.
async fn write_without(destination: &Destination, lease: &Lease, key: &str) -> anyhow::Result<()> {
    let name = lease.resumed().body.as_ref();
    let name = name.context("the checkpoint has changed: try again")?;
    let mut body = read(destination, name, lease.shard()).await?;
    body.listed.retain(|listed| listed.object.target.key != key);
    let bytes = Bytes::from(body.to_bytes());
    let folder = name.key.rsplit_once('/').map_or("", |(folder, _)| folder);
    let is_last = body.state.ended && body.waiting() == 0;
    let fresh = BodyName {
        key: format!("{folder}/{}", Uuid::new_v4()),
        crc64: crc_fast::crc64_nvme(&bytes),
    };
    let written = LeaseCheckpoint {
        body: (!is_last).then_some(fresh),
        position: body.state.position,
        ended: body.state.ended,
        waiting: body.waiting(),
        until_ms: body.state.until_ms,
    };
    if let Some(name) = &written.body {
        destination.put_body(&name.key, bytes).await?;
    }
    lease.commit(&written).await?;
    // One that stays behind takes room, and nothing else.
    let _ = destination.remove_body(&name.key).await;
    Ok(())
}
