//! A Glue that answers as a test says, over HTTP, and keeps what it was asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::config::Secret;

/// What becomes of a call, of its operation and its body; an error is its code.
type Answer = Box<dyn FnMut(&str, &Value) -> Result<Value, &'static str> + Send>;

/// The server, and a catalog that asks it.
pub(super) struct Scripted {
    pub(super) glue: Glue,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    _serving: AbortOnDropHandle<()>,
}

impl Scripted {
    pub(super) async fn start(
        answer: impl FnMut(&str, &Value) -> Result<Value, &'static str> + Send + 'static,
    ) -> Self {
        Self::of_account(None, answer).await
    }

    /// One that has a catalog id.
    pub(super) async fn of_account(
        catalog_id: Option<&str>,
        answer: impl FnMut(&str, &Value) -> Result<Value, &'static str> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let access = AwsAccess {
            region: Some("eu-central-1".to_owned()),
            endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
            access_key_id: Some("AKIDEXAMPLE".to_owned()),
            secret_access_key: Some(Secret("secret".into())),
            ..AwsAccess::default()
        };
        let answer: Arc<Mutex<Answer>> = Arc::new(Mutex::new(Box::new(answer)));
        let asked = Arc::default();
        let told = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&told)));
            }
        });
        Self {
            glue: Glue::of(GlueSettings {
                catalog_id: catalog_id.map(str::to_owned),
                access,
                ..glue().settings
            }),
            asked,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    /// What it was asked since this was asked last: operations and bodies.
    pub(super) fn asked(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// The operations alone.
    pub(super) fn operations(&self) -> Vec<String> {
        let asked = self.asked().into_iter();
        asked.map(|(operation, _)| operation).collect()
    }
}

/// Answers the requests of a connection until nobody asks any more.
async fn serve(
    stream: TcpStream,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut operation, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            if line == "\r\n" {
                break;
            }
            match line.trim().to_lowercase().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().ok()?,
                Some(("x-amz-target", _)) => {
                    operation = line.trim().rsplit('.').next()?.to_owned();
                }
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let body: Value = serde_json::from_slice(&body).ok()?;
        let answered = (*answer.lock().unwrap())(&operation, &body);
        asked.lock().unwrap().push((operation, body));
        let (status, answered) = match answered {
            Ok(answer) => ("200 OK", answer),
            Err(code) => {
                let refusal = json!({ "__type": code, "Message": "scripted" });
                ("400 Bad Request", refusal)
            }
        };
        let text = answered.to_string();
        let length = text.len();
        let reply = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{text}");
        stream.write_all(reply.as_bytes()).await.ok()?;
    }
}
