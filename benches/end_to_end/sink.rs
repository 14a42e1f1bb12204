//! The sink, a process of its own: as much of S3 as a delivery needs, on loopback. Objects become
//! files, so that a foreign reader can check them; nothing is verified on the way.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

/// Serves `/bucket/key` from `root`; prints the port on standard output.
pub async fn run(root: PathBuf) -> anyhow::Result<()> {
    let sink = Arc::new(Sink {
        root,
        objects: Mutex::default(),
        uploads: Mutex::default(),
    });
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(io::stdout(), "{}", listener.local_addr()?.port())?;
    Ok(axum::serve(listener, Router::new().fallback(answer).with_state(sink)).await?)
}

struct Sink {
    root: PathBuf,
    /// What HEAD answers for each key.
    objects: Mutex<HashMap<String, HeaderMap>>,
    uploads: Mutex<HashMap<String, Upload>>,
}

#[derive(Default)]
struct Upload {
    headers: HeaderMap,
    parts: BTreeMap<u32, Bytes>,
}

async fn answer(State(sink): State<Arc<Sink>>, request: Request) -> Response {
    match respond(&sink, request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn respond(sink: &Sink, request: Request) -> anyhow::Result<Response> {
    let (head, body) = request.into_parts();
    let path = percent_decoded(head.uri.path());
    let (_, key) = path
        .trim_start_matches('/')
        .split_once('/')
        .unwrap_or((&path, ""));
    let query = head.uri.query().unwrap_or_default();
    let parameter = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    };
    let body = axum::body::to_bytes(body, usize::MAX).await?;
    let body = if is_chunked(&head.headers) {
        unchunked(&body)?
    } else {
        body
    };
    let upload_id = parameter("uploadId");
    if key.is_empty() {
        return Ok(StatusCode::OK.into_response());
    }
    match (&head.method, upload_id) {
        (&Method::PUT, Some(upload_id)) => {
            let part = parameter("partNumber").unwrap_or_default().parse()?;
            let mut uploads = sink.uploads.lock().expect("no panic");
            uploads
                .entry(upload_id.to_owned())
                .or_default()
                .parts
                .insert(part, body);
            Ok(reply(StatusCode::OK, &kept(&head.headers), Body::empty()))
        }
        (&Method::PUT, None) => sink.store(key, &head.headers, &head.headers, &[body]),
        (&Method::POST, Some(upload_id)) => {
            let upload = sink.uploads.lock().expect("no panic").remove(upload_id);
            let Some(upload) = upload else {
                return Ok(StatusCode::NOT_FOUND.into_response());
            };
            let parts: Vec<Bytes> = upload.parts.into_values().collect();
            let stored = sink.store(key, &head.headers, &upload.headers, &parts)?;
            if stored.status() != StatusCode::OK {
                return Ok(stored);
            }
            let text = "<CompleteMultipartUploadResult><ETag>\"sink\"</ETag>\
                        </CompleteMultipartUploadResult>";
            Ok(reply(
                StatusCode::OK,
                &kept(&head.headers),
                Body::from(text),
            ))
        }
        (&Method::POST, None) => {
            let mut uploads = sink.uploads.lock().expect("no panic");
            let upload_id = format!("upload-{}", fastrand::u64(..));
            let upload = Upload {
                headers: head.headers,
                parts: BTreeMap::new(),
            };
            uploads.insert(upload_id.clone(), upload);
            let text = format!(
                "<InitiateMultipartUploadResult><UploadId>{upload_id}</UploadId>\
                 </InitiateMultipartUploadResult>"
            );
            Ok(reply(StatusCode::OK, &HeaderMap::new(), Body::from(text)))
        }
        (&Method::GET, Some(upload_id)) => {
            let uploads = sink.uploads.lock().expect("no panic");
            let Some(upload) = uploads.get(upload_id) else {
                return Ok(StatusCode::NOT_FOUND.into_response());
            };
            let text = part_list(upload);
            Ok(reply(StatusCode::OK, &HeaderMap::new(), Body::from(text)))
        }
        (&Method::DELETE, _) => {
            sink.objects.lock().expect("no panic").remove(key);
            let _ = std::fs::remove_file(sink.root.join(key));
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        _ => {
            let known = sink.objects.lock().expect("no panic").get(key).cloned();
            let Some(headers) = known else {
                return Ok(StatusCode::NOT_FOUND.into_response());
            };
            Ok(reply(
                StatusCode::OK,
                &headers,
                Body::from(std::fs::read(sink.root.join(key))?),
            ))
        }
    }
}

impl Sink {
    /// Writes the object unless a condition forbids it. `described` has the headers to be kept.
    fn store(
        &self,
        key: &str,
        conditions: &HeaderMap,
        described: &HeaderMap,
        parts: &[Bytes],
    ) -> anyhow::Result<Response> {
        let mut objects = self.objects.lock().expect("no panic");
        if conditions.contains_key("if-none-match") && objects.contains_key(key) {
            return Ok(StatusCode::PRECONDITION_FAILED.into_response());
        }
        let path = self.root.join(key);
        std::fs::create_dir_all(path.parent().expect("below the root"))?;
        let mut file = std::fs::File::create(path)?;
        for part in parts {
            file.write_all(part)?;
        }
        let mut headers = kept(described);
        headers.extend(kept(conditions));
        objects.insert(key.to_owned(), headers.clone());
        Ok(reply(StatusCode::OK, &headers, Body::empty()))
    }
}

/// The parts of an upload that have arrived, as `ListParts` tells them.
fn part_list(upload: &Upload) -> String {
    let part = |(number, bytes): (&u32, &Bytes)| {
        let size = bytes.len();
        format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>\"sink\"</ETag><Size>{size}</Size></Part>"
        )
    };
    let parts: String = upload.parts.iter().map(part).collect();
    format!("<ListPartsResult><IsTruncated>false</IsTruncated>{parts}</ListPartsResult>")
}

/// What S3 gives back of a request's headers: content type, metadata and checksums.
fn kept(headers: &HeaderMap) -> HeaderMap {
    let is_kept = |name: &HeaderName| {
        let name = name.as_str();
        name.starts_with("x-amz-meta-")
            || (name.starts_with("x-amz-checksum-") && name != "x-amz-checksum-algorithm")
            || name == "content-type"
            || name == "content-encoding"
    };
    headers
        .iter()
        .filter(|(name, _)| is_kept(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn reply(status: StatusCode, headers: &HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().clone_from(headers);
    response
        .headers_mut()
        .insert("etag", HeaderValue::from_static("\"sink\""));
    response
}

/// Whether the SDK has wrapped the body into its own chunks (with a checksum as trailer).
fn is_chunked(headers: &HeaderMap) -> bool {
    headers
        .get("x-amz-content-sha256")
        .is_some_and(|value| value.as_bytes().starts_with(b"STREAMING-"))
}

/// The body inside `aws-chunked` framing: `<hex size>[;…]\r\n<bytes>\r\n … 0\r\n<trailers>`.
fn unchunked(framed: &Bytes) -> anyhow::Result<Bytes> {
    let mut body = Vec::with_capacity(framed.len());
    let mut rest: &[u8] = framed;
    loop {
        let end = memchr::memchr(b'\n', rest).ok_or_else(|| anyhow::anyhow!("cut chunk"))?;
        let line = std::str::from_utf8(&rest[..end])?.trim_end();
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16)?;
        if size == 0 {
            return Ok(body.into());
        }
        let chunk = rest
            .get(end + 1..end + 1 + size)
            .ok_or_else(|| anyhow::anyhow!("cut chunk"))?;
        body.extend_from_slice(chunk);
        rest = rest.get(end + 1 + size + 2..).unwrap_or_default();
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = (byte == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
