//! Calls, against a server on this machine that answers what a test says.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::config::Secret;

/// A server of one connection, which it answers with `answer`; what it was asked is given back.
async fn serve(answer: String) -> (AwsAccess, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"}") {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).await.unwrap();
            assert_ne!(read, 0, "the request has an end");
            asked.extend_from_slice(&piece[..read]);
        }
        // Whoever has heard enough goes.
        let _ = stream.write_all(answer.as_bytes()).await;
        String::from_utf8(asked).unwrap()
    });
    let access = AwsAccess {
        region: Some("eu-central-1".into()),
        endpoint: Some(endpoint),
        access_key_id: Some("AKIDEXAMPLE".into()),
        secret_access_key: Some(Secret("secret".into())),
        ..AwsAccess::default()
    };
    (access, asked)
}

async fn client(access: &AwsAccess) -> JsonService {
    let client = JsonService::connect(&GLUE, "`glue_endpoint`", access).await;
    client.unwrap()
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn a_call_is_a_signed_post_that_names_its_operation() {
    let (access, asked) = serve(answer("200 OK", "", r#"{"Table":{"Name":"hits"}}"#)).await;
    let body = serde_json::json!({"DatabaseName": "web", "Name": "hits"});
    let answer = client(&access).await.call("GetTable", &body).await.unwrap();
    assert_eq!(answer, serde_json::json!({"Table": {"Name": "hits"}}));
    let asked = asked.await.unwrap();
    assert!(asked.starts_with("POST / HTTP/1.1\r\n"), "{asked}");
    let lower = asked.to_lowercase();
    for header in [
        "x-amz-target: awsglue.gettable",
        "content-type: application/x-amz-json-1.1",
        "authorization: aws4-hmac-sha256 credential=akidexample/",
        "/eu-central-1/glue/aws4_request",
    ] {
        assert!(lower.contains(header), "{header} in {asked}");
    }
    assert!(asked.ends_with(&format!("\r\n\r\n{body}")), "{asked}");
}

#[tokio::test]
async fn an_empty_answer_is_an_empty_object() {
    let (access, _asked) = serve(answer("200 OK", "", "")).await;
    let client = client(&access).await;
    let answer = client.call("CreateTable", &serde_json::json!({})).await;
    assert_eq!(answer.unwrap(), serde_json::json!({}));
}

#[tokio::test]
async fn a_refusal_gives_its_code_its_words_and_whether_it_passes() {
    let body =
        r#"{"__type":"com.amazonaws.glue#EntityNotFoundException","Message":"Entity Not Found"}"#;
    let (access, _asked) = serve(answer("400 Bad Request", "", body)).await;
    let call = client(&access).await;
    let error = call
        .call("GetTable", &serde_json::json!({}))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "EntityNotFoundException");
    assert!(!error.may_pass());
    assert_eq!(
        error.to_string(),
        "GetTable: EntityNotFoundException: Entity Not Found"
    );
    assert!(error.source().is_some());

    let header = "x-amzn-errortype: ThrottlingException:http://internal/\r\n";
    let (access, _asked) = serve(answer("400 Bad Request", header, r#"{"message":"Rate"}"#)).await;
    let call = client(&access).await;
    let error = call
        .call("GetTable", &serde_json::json!({}))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "ThrottlingException");
    assert!(error.may_pass());

    let (access, _asked) = serve(answer("503 Busy", "", "<html>")).await;
    let call = client(&access).await;
    let error = call
        .call("GetTable", &serde_json::json!({}))
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.may_pass()), ("", true));
    assert_eq!(error.to_string(), "GetTable: HTTP status 503");
}

#[tokio::test]
async fn an_answer_that_never_ends_is_cut_off() {
    let body = "x".repeat(ANSWER_MAX + 1);
    let (access, _asked) = serve(answer("200 OK", "", &body)).await;
    let call = client(&access).await;
    let error = call
        .call("GetTable", &serde_json::json!({}))
        .await
        .unwrap_err();
    let text = super::super::chain(&error);
    assert!(text.contains("length limit exceeded"), "{text}");
}

#[tokio::test]
async fn where_nobody_answers_the_setting_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let access = AwsAccess {
        endpoint: Some(endpoint.clone()),
        access_key_id: Some("AKIDEXAMPLE".into()),
        secret_access_key: Some(Secret("secret".into())),
        ..AwsAccess::default()
    };
    let call = client(&access).await;
    let error = call
        .call("GetTable", &serde_json::json!({}))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&format!("no answer from {endpoint}")),
        "{text}"
    );
    assert!(text.contains("`glue_endpoint` says"), "{text}");
    assert!(error.may_pass());
}
