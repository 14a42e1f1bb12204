//! `firehose put`: sends the lines of a file or of standard input to a running daemon.
//!
//! Batches go one after the other, so the records keep their order. A batch whose answer was lost
//! (the connection broke, or a time-out) is sent again although it may have been accepted: at
//! least once. The summary says how often that was, and which records of the stream failed meanwhile.

mod account;
mod address;
mod input;
mod key;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method, Request, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

use super::shown::shown;
use crate::config::display_duration;
use crate::error::with_causes;
use crate::retry;

use account::Accountant;
use input::{as_body, read_in_thread, without_records};

/// How long one attempt may take, from connecting to the last byte of the answer.
const ATTEMPT: Duration = Duration::from_mins(1);
/// Largest `--batch-bytes`: what the daemon takes in one request.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// A cause that lasts is told again after so long.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);
/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Send lines to a delivery stream, one record a line.
///
/// Where the daemon asks for a key, it is that of `FIREHOSE_KEY_ID` and `FIREHOSE_KEY_SECRET`, or one of the config file.
#[derive(Debug, Clone, clap::Args)]
pub struct PutArgs {
    /// The delivery stream's name.
    pub stream: String,
    /// The file to send; `-` is standard input.
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Where the daemon listens; else as `listen` of the config file says, if there is one, else
    /// 127.0.0.1:4585.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Bytes of lines in one request, such as 512KiB; at most 16MiB.
    #[arg(long, default_value = "1MiB", value_name = "SIZE", value_parser = batch_bytes)]
    pub batch_bytes: usize,
    /// How often a batch is sent again before giving up.
    #[arg(long, default_value_t = 10, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub retries: u32,
}

/// Why not everything was sent.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// The input could not be read, or the daemon refused.
    #[error("{0}")]
    Failed(String),
}

impl PutError {
    /// The process's exit code.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed(_) => 1,
        }
    }
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutSummary {
    /// Records that the daemon accepted.
    pub records: u64,
    /// Their bytes, without line ends.
    pub bytes: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Retries after a lost answer: their records may be in twice.
    pub lost_answers: u64,
}

/// Runs `firehose put`. The summary goes to `out`, also when it fails midway; why a batch is sent again
/// to `err`, and a progress bar to standard error if that is a terminal.
pub async fn run(
    args: &PutArgs,
    config: Option<&Path>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), PutError> {
    let url = args.url.as_deref();
    let environment = |name: &str| std::env::var(name).ok();
    let daemon = Daemon {
        url: address::find(url, config)?,
        authorization: key::find(&args.stream, url, config, &environment)?,
    };
    let unreadable = |error: io::Error| {
        PutError::Failed(format!("{} cannot be read: {error}", args.file.display()))
    };
    if args.file == Path::new("-") {
        return send(args, &daemon, BufReader::new(io::stdin()), None, out, err).await;
    }
    let file = File::open(&args.file).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?;
    let length = length.is_file().then_some(length.len());
    let input = BufReader::with_capacity(256 << 10, file);
    send(args, &daemon, input, length, out, err).await
}

/// Whom records are sent to.
struct Daemon {
    /// Without a slash at the end.
    url: String,
    /// The key.
    authorization: Option<HeaderValue>,
}

/// Where the daemon listens, without a slash at the end.
pub(super) fn find_daemon(url: Option<&str>, config: Option<&Path>) -> Result<String, PutError> {
    address::find(url, config)
}

/// Sends the lines of `input`, whose length in bytes may be known.
async fn send(
    args: &PutArgs,
    daemon: &Daemon,
    input: impl BufRead + Send + 'static,
    length: Option<u64>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), PutError> {
    let bar = bar(length);
    let mut complaints = Complaints::new(err, bar.clone());
    let mut sender = Sender::new(args, daemon)?;
    let start = Instant::now();
    let mut batches = read_in_thread(input, args.batch_bytes);
    let mut result = Ok(());
    while let Some(batch) = batches.recv().await {
        let length = batch.as_ref().map_or(0, Bytes::len);
        result = match batch {
            Ok(batch) => sender.send_until_accepted(batch, &mut complaints).await,
            Err(error) => Err(PutError::Failed(error)),
        };
        if result.is_err() {
            break;
        }
        bar.inc(length as u64);
        bar.set_message(format!("{} records", sender.sent.records));
    }
    bar.finish_and_clear();
    let unwritten = |error| PutError::Failed(format!("the summary cannot be written: {error}"));
    summary(&args.stream, sender.sent, start.elapsed(), out).map_err(unwritten)?;
    if let Some(warning) = &sender.warning {
        writeln!(out, "warning: {}", shown(warning)).map_err(unwritten)?;
    }
    if sender.sent.records > 0 {
        let closing = sender.accountant.close(&args.stream, out).await;
        closing.and_then(|()| out.flush()).map_err(unwritten)?;
    }
    result
}

fn summary(stream: &str, sent: PutSummary, took: Duration, out: &mut dyn Write) -> io::Result<()> {
    let PutSummary {
        records,
        bytes,
        retries,
        lost_answers,
    } = sent;
    let took = took.as_secs_f64();
    writeln!(
        out,
        "{stream}: {records} records accepted, {bytes} bytes, {took:.1} s"
    )?;
    if retries > 0 {
        writeln!(
            out,
            "{retries} retries, {lost_answers} of them after a lost answer"
        )?;
    }
    if lost_answers > 0 {
        writeln!(out, "records whose answer was lost may be in twice")?;
    }
    out.flush()
}

fn bar(length: Option<u64>) -> ProgressBar {
    let (bar, template) = match length {
        Some(length) => (
            ProgressBar::new(length),
            "{wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {msg} eta {eta}",
        ),
        None => (
            ProgressBar::no_length(),
            "{spinner} {bytes} {binary_bytes_per_sec} {msg} {elapsed}",
        ),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template is valid"))
}

/// What the daemon answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PutReply {
    accepted: u64,
    bytes: u64,
    error: String,
    warning: Option<String>,
}

/// How one attempt ended.
enum AttemptOutcome {
    Accepted(PutReply),
    /// Not accepted (or only the first records of it); worth another try, after so long if said.
    Refused(PutReply, Option<Duration>),
    /// Whether it was accepted is not known.
    Lost(String),
    /// Could not connect: surely not accepted.
    Unreachable(String),
    /// No retry will help.
    Final(String),
}

/// Says why batches are sent again: each cause at once, then for as long as it lasts now and then.
struct Complaints<'w> {
    err: &'w mut dyn Write,
    bar: ProgressBar,
    last: Option<(String, Instant)>,
}

impl<'w> Complaints<'w> {
    fn new(err: &'w mut dyn Write, bar: ProgressBar) -> Self {
        Self {
            err,
            bar,
            last: None,
        }
    }

    fn tell(&mut self, cause: &str, retries: u32) {
        let is_known =
            |(last, told): &(String, Instant)| last == cause && told.elapsed() < COMPLAIN_EVERY;
        if self.last.as_ref().is_some_and(is_known) {
            return;
        }
        let most: Duration = (1..=retries)
            .map(|attempt| retry::longest(attempt, retry::TRANSIENT_MAX))
            .sum();
        let most = display_duration(Duration::from_secs(most.as_secs().max(1)));
        // Nobody is left to be told when this fails.
        self.bar.suspend(|| {
            let _ = writeln!(
                self.err,
                "{}\ntrying again for up to {most} (--retries)",
                shown(cause)
            );
            let _ = self.err.flush();
        });
        self.last = Some((cause.to_owned(), Instant::now()));
    }
}

/// Sends batches and counts.
struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
    authorization: Option<HeaderValue>,
    accountant: Accountant,
    retries: u32,
    sent: PutSummary,
    /// The first warning that the daemon gave.
    warning: Option<String>,
}

impl Sender {
    fn new(args: &PutArgs, daemon: &Daemon) -> Result<Self, PutError> {
        let Daemon { url, authorization } = daemon;
        let stream = &args.stream;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if stream.is_empty() || stream.len() > 64 || !stream.bytes().all(allowed) {
            return Err(PutError::Usage(format!(
                "{stream:?} is no delivery stream's name (allowed: 1 to 64 of a-z A-Z 0-9 _ . -)"
            )));
        }
        let uri = |path: &str| {
            let uri: Result<Uri, _> = format!("{url}/streams/{stream}{path}").parse();
            uri.map_err(|error| PutError::Usage(format!("--url {url}: {error}")))
        };
        let (account, uri) = (uri("")?, uri("/records")?);
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self {
            accountant: Accountant::new(client.clone(), account),
            client,
            uri,
            authorization: authorization.clone(),
            retries: args.retries,
            sent: PutSummary::default(),
            warning: None,
        })
    }

    /// Sends a batch until it is accepted whole, with back-off.
    async fn send_until_accepted(
        &mut self,
        mut batch: Bytes,
        complaints: &mut Complaints<'_>,
    ) -> Result<(), PutError> {
        let mut attempt = 0;
        loop {
            if self.sent.records == 0 {
                self.accountant.open().await;
            }
            let (cause, wait) = match self.attempt(as_body(batch.clone())).await {
                AttemptOutcome::Accepted(answer) => {
                    self.count(&answer);
                    self.warning = self.warning.take().or(answer.warning);
                    return Ok(());
                }
                AttemptOutcome::Refused(answer, wait) => {
                    self.count(&answer);
                    batch = without_records(batch, answer.accepted);
                    (answer.error, wait)
                }
                AttemptOutcome::Lost(cause) => {
                    self.sent.lost_answers += u64::from(attempt < self.retries);
                    (cause, None)
                }
                AttemptOutcome::Unreachable(cause) => (cause, None),
                AttemptOutcome::Final(cause) => return Err(PutError::Failed(cause)),
            };
            if attempt == self.retries {
                return Err(PutError::Failed(format!(
                    "gave up after {attempt} retries: {cause}"
                )));
            }
            complaints.tell(&cause, self.retries - attempt);
            attempt += 1;
            self.sent.retries += 1;
            let delay = retry::delay(attempt, retry::TRANSIENT_MAX);
            tokio::time::sleep(delay.max(wait.unwrap_or_default())).await;
        }
    }

    fn count(&mut self, answer: &PutReply) {
        self.sent.records += answer.accepted;
        self.sent.bytes += answer.bytes;
    }

    async fn attempt(&self, batch: Bytes) -> AttemptOutcome {
        let mut request = Request::new(Full::new(batch));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-ndjson"),
        );
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let exchange = async {
            let response = match self.client.request(request).await {
                Ok(response) => response,
                Err(error) if error.is_connect() => {
                    return AttemptOutcome::Unreachable(format!(
                        "{} cannot be reached ({}): is the daemon running, and does it listen there?",
                        self.uri,
                        root(&error)
                    ));
                }
                Err(error) => {
                    return AttemptOutcome::Lost(format!("no answer: {}", with_causes(&error)));
                }
            };
            let (head, body) = response.into_parts();
            let wait = head
                .headers
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok())
                .map(|seconds: u64| Duration::from_secs(seconds).min(retry::TRANSIENT_MAX));
            match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
                Ok(body) => judge(head.status, &body.to_bytes(), wait),
                Err(error) => AttemptOutcome::Lost(format!("the answer broke off: {error}")),
            }
        };
        match tokio::time::timeout(ATTEMPT, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => AttemptOutcome::Lost(format!("no answer within {} s", ATTEMPT.as_secs())),
        }
    }
}

/// What an answer means.
fn judge(status: StatusCode, body: &[u8], wait: Option<Duration>) -> AttemptOutcome {
    let answer = serde_json::from_slice::<PutReply>(body);
    match answer {
        Ok(answer) if status == StatusCode::OK => AttemptOutcome::Accepted(answer),
        // Our own refusal says what was accepted; any other one (a proxy's) says nothing.
        Ok(answer)
            if !answer.error.is_empty()
                && [StatusCode::SERVICE_UNAVAILABLE, StatusCode::REQUEST_TIMEOUT]
                    .contains(&status) =>
        {
            AttemptOutcome::Refused(answer, wait)
        }
        answer => {
            let text = answer.map_or_else(
                |_| String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned(),
                |answer| answer.error,
            );
            let cause = format!("{status}: {text}");
            let passing = status.is_server_error()
                || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
            if passing {
                AttemptOutcome::Lost(cause)
            } else {
                AttemptOutcome::Final(cause)
            }
        }
    }
}

/// What is at the bottom of an error.
fn root(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root)
}

/// Parses `--batch-bytes`.
fn batch_bytes(text: &str) -> Result<usize, String> {
    let unit = text.trim_start_matches(|character: char| character.is_ascii_digit());
    let number = &text[..text.len() - unit.len()];
    let factor = match unit {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        _ => None,
    };
    number
        .parse::<usize>()
        .ok()
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor))
        .filter(|bytes| (1..=BATCH_BYTES_MAX).contains(bytes))
        .ok_or_else(|| "must be a size from 1 to 16MiB, such as 512KiB or 1MiB".to_owned())
}

#[cfg(test)]
mod tests;
