//! A bucket in memory for the tests: objects, uploads and their parts, and nothing that S3 does beyond.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use tokio_util::task::AbortOnDropHandle;

use crate::config::Secret;
use crate::destination::S3Settings;

const BODY_MAX: usize = 64 << 20;
/// What every request here names first.
const BUCKET: &str = "/lake/";

/// The server; it ends when this is dropped.
#[derive(Debug)]
pub(in crate::pipeline::log) struct Bucket {
    address: SocketAddr,
    held: Arc<Mutex<Held>>,
    _serving: AbortOnDropHandle<()>,
}

/// What it holds.
#[derive(Debug, Default)]
pub(in crate::pipeline::log) struct Held {
    /// Visible objects by key: `firehose-object-id`, bytes.
    pub(in crate::pipeline::log) objects: BTreeMap<String, (String, Bytes)>,
    /// Uploads by id.
    pub(in crate::pipeline::log) uploads: BTreeMap<String, Upload>,
    /// Every request that changes something, in order: method, key.
    pub(in crate::pipeline::log) asked: Vec<(String, String)>,
    /// Requests of these methods fail: for now, or because the credentials may not.
    pub(in crate::pipeline::log) refused: BTreeSet<String>,
    pub(in crate::pipeline::log) denied: BTreeSet<String>,
    /// A store without conditional writes.
    pub(in crate::pipeline::log) overwrites: bool,
    next: u32,
}

/// Parts on their way to becoming an object.
#[derive(Clone, Debug, Default)]
pub(in crate::pipeline::log) struct Upload {
    pub(in crate::pipeline::log) parts: BTreeMap<u32, Bytes>,
    object_id: String,
}

type Answer = Result<(String, Vec<(&'static str, String)>), (StatusCode, &'static str)>;

impl Bucket {
    pub(in crate::pipeline::log) async fn start() -> Self {
        let held = Arc::new(Mutex::new(Held::default()));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&held));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            held,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    pub(in crate::pipeline::log) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }

    pub(in crate::pipeline::log) fn settings(&self) -> S3Settings {
        S3Settings {
            bucket: "lake".into(),
            region: Some("us-east-1".into()),
            endpoint: Some(format!("http://{}", self.address)),
            path_style: true,
            access_key_id: Some("A".into()),
            secret_access_key: Some(Secret("S".into())),
            ..S3Settings::default()
        }
    }
}

impl Held {
    /// Keys of visible objects below a prefix.
    pub(in crate::pipeline::log) fn keys(&self, prefix: &str) -> Vec<String> {
        let keys = self.objects.keys().filter(|key| key.starts_with(prefix));
        keys.cloned().collect()
    }

    /// The lines of all visible objects below a prefix, sorted.
    pub(in crate::pipeline::log) fn lines(&self, prefix: &str) -> Vec<String> {
        let keys = self.keys(prefix).into_iter();
        let mut lines: Vec<String> = keys
            .flat_map(|key| {
                let text = String::from_utf8(self.objects[&key].1.to_vec()).unwrap();
                text.lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        lines.sort();
        lines
    }

    fn answer(&mut self, request: &Request<()>, body: Bytes) -> Answer {
        let uri = request.uri();
        let key = uri.path().strip_prefix(BUCKET).unwrap().replace("%3D", "=");
        let query: BTreeMap<&str, &str> = uri
            .query()
            .unwrap_or_default()
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .collect();
        let method = request.method().as_str().to_owned();
        if !matches!(&*method, "GET" | "HEAD") {
            self.asked.push((method.clone(), key.clone()));
        }
        if self.denied.contains(&method) {
            return Err((StatusCode::FORBIDDEN, "AccessDenied"));
        }
        if self.refused.contains(&method) {
            return Err((StatusCode::SERVICE_UNAVAILABLE, "SlowDown"));
        }
        let header = |name: &str| {
            let value = request.headers().get(name);
            value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
        };
        let is_conditional = !self.overwrites && !header("if-none-match").is_empty();
        let object_id = header("x-amz-meta-firehose-object-id");
        match (request.method(), query.get("uploadId").copied()) {
            (&Method::POST, None) => {
                self.next += 1;
                let id = format!("upload-{}", self.next);
                let upload = Upload {
                    object_id,
                    parts: BTreeMap::new(),
                };
                self.uploads.insert(id.clone(), upload);
                Ok((started(&id), Vec::new()))
            }
            (&Method::PUT, Some(id)) => {
                let upload = self.uploads.get_mut(id).ok_or(GONE)?;
                let number = query["partNumber"].parse().unwrap();
                upload.parts.insert(number, body);
                Ok((String::new(), vec![("etag", number.to_string())]))
            }
            (&Method::POST, Some(id)) => {
                let upload = self.uploads.get(id).ok_or(GONE)?;
                if is_conditional && self.objects.contains_key(&key) {
                    return Err((StatusCode::PRECONDITION_FAILED, "PreconditionFailed"));
                }
                let bytes: Bytes = upload.parts.values().flatten().copied().collect();
                let object = (upload.object_id.clone(), bytes);
                self.uploads.remove(id);
                self.objects.insert(key, object);
                Ok((COMPLETED.into(), Vec::new()))
            }
            (&Method::PUT, None) => {
                if is_conditional && self.objects.contains_key(&key) {
                    return Err((StatusCode::PRECONDITION_FAILED, "PreconditionFailed"));
                }
                self.objects.insert(key, (object_id, body));
                Ok((String::new(), Vec::new()))
            }
            (&Method::DELETE, None) => {
                self.objects.remove(&key);
                Ok((String::new(), Vec::new()))
            }
            (&Method::GET | &Method::HEAD, None) => {
                let (id, bytes) = self.objects.get(&key).ok_or(MISSING)?;
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                Ok((text, vec![("x-amz-meta-firehose-object-id", id.clone())]))
            }
            (&Method::GET, Some(id)) => {
                let upload = self.uploads.get(id).ok_or(GONE)?;
                Ok((listed(upload), Vec::new()))
            }
            (method, id) => panic!("{method} of {key} {id:?}"),
        }
    }
}

const COMPLETED: &str = "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>";

fn started(id: &str) -> String {
    let root = "InitiateMultipartUploadResult";
    format!("<{root}><UploadId>{id}</UploadId></{root}>")
}

fn listed(upload: &Upload) -> String {
    let part = |(number, bytes): (&u32, &Bytes)| {
        let size = bytes.len();
        format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>{number}</ETag><Size>{size}</Size></Part>"
        )
    };
    let parts: String = upload.parts.iter().map(part).collect();
    format!("<ListPartsResult>{parts}</ListPartsResult>")
}

const GONE: (StatusCode, &str) = (StatusCode::NOT_FOUND, "NoSuchUpload");
const MISSING: (StatusCode, &str) = (StatusCode::NOT_FOUND, "NoSuchKey");

async fn answer(State(held): State<Arc<Mutex<Held>>>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_MAX).await.unwrap();
    let request = Request::from_parts(head, ());
    let answer = held.lock().unwrap().answer(&request, body);
    let mut response = Response::builder();
    let text = match answer {
        Ok((text, headers)) => {
            for (name, value) in headers {
                response = response.header(name, value);
            }
            text
        }
        Err((status, code)) => {
            response = response.status(status);
            format!("<Error><Code>{code}</Code><Message>as told</Message></Error>")
        }
    };
    response.body(text.into()).unwrap()
}
