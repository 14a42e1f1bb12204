//! An AWS service that speaks JSON and answers as a test says.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;

use serde_json::{Value, json};

/// Where it is, and what it is asked: heads and bodies. It ends when nobody listens to those any more.
pub type Scripted = (String, mpsc::Receiver<(String, Value)>);

/// Answers each request by its operation; an error is its code.
pub fn scripted(answer: impl Fn(&str) -> Result<Value, &'static str> + Send + 'static) -> Scripted {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (asked, asks) = mpsc::channel();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let mut stream = BufReader::new(stream);
            let (mut head, mut operation, mut length) = (String::new(), String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                let begin = head.len();
                if stream.read_line(&mut head).unwrap() == 0 {
                    break;
                }
                let line = head[begin..].trim();
                match line.to_lowercase().split_once(": ") {
                    Some(("content-length", value)) => length = value.parse().unwrap(),
                    Some(("x-amz-target", _)) => {
                        line.rsplit('.').next().unwrap().clone_into(&mut operation);
                    }
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            if operation.is_empty() || stream.read_exact(&mut body).is_err() {
                // Somebody who has gone.
                continue;
            }
            let (status, answer) = match answer(&operation) {
                Ok(answer) => ("200 OK", answer),
                Err(code) => {
                    let refusal = json!({ "__type": code, "Message": "scripted" });
                    ("400 Bad Request", refusal)
                }
            };
            let answer = answer.to_string();
            let length = answer.len();
            let reply = format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{answer}"
            );
            let _ = stream.get_mut().write_all(reply.as_bytes());
            let body = serde_json::from_slice(&body).unwrap();
            if asked.send((head, body)).is_err() {
                return;
            }
        }
    });
    (endpoint, asks)
}
