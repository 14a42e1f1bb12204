//! What the daemon says of a stream before records are sent and after: which of the records that were read in between
//! have failed, whoever sent them: a stream does not tell its producers apart.

use std::io::{self, Write};
use std::time::Duration;

use axum::http::{Request, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use serde::Deserialize;

use super::super::causes::FailureCause;
use super::super::shown::shown;
use crate::config::{display_duration, display_size};
use crate::format::FORMATS;

/// How long the daemon may take to read what it has accepted; usually it is some milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is asked meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(2);
/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// A stream by its own account.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Account {
    state: String,
    #[serde(default)]
    cause: String,
    /// When its counts began.
    since: String,
    #[serde(default)]
    format: String,
    #[serde(default)]
    buffering: Buffering,
    records: RecordCounts,
    failures: Vec<FailureCounts>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Buffering {
    size_bytes: u64,
    interval_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct RecordCounts {
    accepted: i64,
    read: i64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FailureCounts {
    #[serde(rename = "type")]
    output_type: String,
    code: String,
    transform: Option<String>,
    transform_code: Option<String>,
    count: u64,
    #[serde(default)]
    reasons: Vec<ReasonCount>,
    #[serde(default)]
    other_reasons: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct ReasonCount {
    message: String,
    count: u64,
}

/// Asks for the account of one stream.
#[derive(Clone, Debug)]
pub(super) struct Accountant {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
    before: Baseline,
}

/// What was said before the first record was accepted.
#[derive(Clone, Debug)]
enum Baseline {
    /// The daemon could not be asked yet.
    Unknown,
    Known(Box<Account>),
    /// It gives no account: it is an older one, or something else.
    Silent,
}

impl Accountant {
    pub(super) const fn new(client: Client<HttpConnector, Full<Bytes>>, uri: Uri) -> Self {
        Self {
            client,
            uri,
            before: Baseline::Unknown,
        }
    }

    /// Notes what the stream says before anything was accepted.
    pub(super) async fn open(&mut self) {
        if let Baseline::Unknown = self.before {
            self.before = self.ask().await;
        }
    }

    /// Waits shortly until what was accepted has been read, and writes what has become of it.
    pub(super) async fn close(&self, stream: &str, out: &mut dyn Write) -> io::Result<()> {
        let Baseline::Known(before) = &self.before else {
            return Ok(());
        };
        let Baseline::Known(mut after) = self.ask().await else {
            return Ok(());
        };
        let wanted = after.records.accepted + before.ahead();
        let reading = async {
            while after.records.read < wanted {
                tokio::time::sleep(ASK_EVERY).await;
                if let Baseline::Known(now) = self.ask().await {
                    after = now;
                }
            }
        };
        // When that time is over, what is known is said.
        let _ = tokio::time::timeout(PATIENCE, reading).await;
        let is_all = after.records.read >= wanted;
        self.write(stream, before, &after, is_all, out)
    }

    async fn ask(&self) -> Baseline {
        let request = Request::get(self.uri.clone())
            .body(Full::default())
            .expect("the URI was checked");
        let exchange = async {
            let response = self.client.request(request).await.ok()?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.ok()?;
            let account = serde_json::from_slice(&body.to_bytes()).ok();
            let account = account.filter(|_| head.status == StatusCode::OK);
            Some(account.map_or(Baseline::Silent, |account| {
                Baseline::Known(Box::new(account))
            }))
        };
        let answer = tokio::time::timeout(ANSWER, exchange).await;
        answer.ok().flatten().unwrap_or(Baseline::Unknown)
    }

    fn write(
        &self,
        stream: &str,
        before: &Account,
        after: &Account,
        is_all: bool,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let uri = &self.uri;
        if before.since != after.since {
            return writeln!(
                out,
                "the daemon was restarted meanwhile, or another one answers now: which of them failed \
                 is not known here; {uri} says what is"
            );
        }
        let causes = after.failed_since(before);
        let failed: u64 = causes.iter().map(|cause| cause.records).sum();
        if failed > 0 {
            let noun = if failed == 1 { "record" } else { "records" };
            writeln!(
                out,
                "{failed} {noun} of {stream} failed meanwhile, whoever sent them (samples and \
                 objects: {uri}):"
            )?;
            for cause in &causes {
                cause.write(out)?;
            }
        }
        if after.state != "running" {
            let (state, cause) = (shown(&after.state), shown(&after.cause));
            writeln!(out, "the stream is {state}, and the records wait: {cause}")?;
        }
        if !is_all {
            writeln!(
                out,
                "not all of them are read yet, and more may fail: {uri}"
            )?;
        }
        let format = FORMATS.iter().find(|format| format.word() == after.format);
        if let Some(schema) = format.and_then(|format| format.schema()) {
            let Buffering {
                size_bytes,
                interval_ms,
            } = after.buffering;
            writeln!(
                out,
                "whether they fit the {schema} shows when their objects are made, at {} or {}: {uri}",
                display_size(size_bytes),
                display_duration(Duration::from_millis(interval_ms)),
            )?;
        }
        Ok(())
    }
}

impl Account {
    /// By how many records reading is ahead of accepting: these were accepted before the process began.
    fn ahead(&self) -> i64 {
        (self.records.read - self.records.accepted).max(0)
    }

    /// What has failed since an earlier account.
    fn failed_since(&self, before: &Self) -> Vec<FailureCause> {
        let failures = self.failures.iter();
        let causes = failures.map(|failure| {
            let earlier = before.failures.iter().find(|other| other.is_of(failure));
            failure.since(earlier)
        });
        causes.filter(|cause| cause.records > 0).collect()
    }
}

impl FailureCounts {
    fn is_of(&self, other: &Self) -> bool {
        self.output_type == other.output_type
            && self.code == other.code
            && self.transform == other.transform
            && self.transform_code == other.transform_code
    }

    fn since(&self, earlier: Option<&Self>) -> FailureCause {
        let count = |message: &str| {
            let reasons = earlier.map_or(&[][..], |earlier| &earlier.reasons);
            let found = reasons.iter().find(|reason| reason.message == message);
            found.map_or(0, |reason| reason.count)
        };
        let reasons = self.reasons.iter().map(|reason| {
            let records = reason.count.saturating_sub(count(&reason.message));
            (reason.message.clone(), records)
        });
        let others = earlier.map_or(0, |earlier| earlier.other_reasons);
        let transform = self
            .transform
            .as_deref()
            .zip(self.transform_code.as_deref());
        FailureCause {
            records: self.count - earlier.map_or(0, |earlier| earlier.count).min(self.count),
            reasons: reasons.filter(|(_, records)| *records > 0).collect(),
            others: self.other_reasons.saturating_sub(others),
            ..FailureCause::named(&self.output_type, &self.code, transform)
        }
    }
}
