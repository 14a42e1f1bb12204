//! What several machines that share a stream ask of S3: uploads that are prepared by one and completed
//! by another, and bodies of checkpoints.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use firehose::destination::{Body, Destination, Publication, PublishError};

use super::s3::{connect, methods, through_proxy};
use super::{is_foreign, noise, object, places, publish};
use crate::support::proxy::Fault;
use crate::support::servers::Weed;

/// The bytes as another machine has them: not at all.
#[derive(Debug)]
struct Elsewhere;

impl Body for Elsewhere {
    fn read(&self, _: u64, _: usize) -> io::Result<Bytes> {
        panic!("the bytes are not here")
    }
}

/// An object as a list names it: what another process completes.
async fn prepared(to: &Destination, key: &str, bytes: Bytes) -> Publication {
    let mut one = object(key, bytes);
    let parts = to.prepare(&mut one).await.unwrap();
    Publication {
        parts: Some(parts.into()),
        body: Arc::new(Elsewhere),
        ..one
    }
}

fn is_transient<T>(result: &Result<T, PublishError>) -> bool {
    matches!(result, Err(PublishError::Transient(_)))
}

#[tokio::test]
async fn what_one_machine_prepares_another_completes_without_its_bytes() {
    let bucket = Weed::shared().bucket();
    let (one, other) = (
        connect(bucket.settings()).await,
        connect(bucket.settings()).await,
    );
    for (key, len) in [("empty", 0), ("small", 1000), ("large", 20 << 20)] {
        let listed = prepared(&one, key, noise(len)).await;
        assert!(bucket.get(key).is_none(), "{key} is visible too early");
        publish(&other, &listed).await.unwrap();
        assert!(bucket.get(key).unwrap().bytes == noise(len), "{key}");
        let told = bucket.get(key).unwrap().told;
        let id = listed.object_id.to_string();
        assert_eq!(told["metadata"]["firehose-object-id"], id);
        // The one that has lost it publishes what it has listed, too.
        publish(&one, &listed).await.unwrap();
    }
    assert_eq!(bucket.uploads(), [""; 0]);
}

#[tokio::test]
async fn preparing_goes_on_where_it_was_interrupted() {
    let (to, bucket, proxy) = through_proxy().await;
    let mut one = object("data/large", noise(20 << 20));
    proxy.next("POST", Fault::InternalError);
    assert!(is_transient(&to.prepare(&mut one).await));
    assert_eq!(one.upload_id, None);
    proxy.next("PUT", Fault::SlowDown);
    assert!(is_transient(&to.prepare(&mut one).await));
    to.prepare(&mut one).await.unwrap();
    proxy.passed();
    let parts = to.prepare(&mut one).await.unwrap();
    assert_eq!(methods(&proxy), ["GET"], "all parts had arrived");
    assert_eq!(parts.len(), 3);
    assert_eq!(bucket.uploads().len(), 1);
}

#[tokio::test]
async fn an_upload_that_vanishes_before_it_is_listed_is_begun_anew() {
    let bucket = Weed::shared().bucket();
    let to = connect(bucket.settings()).await;
    let mut one = object("data/1", noise(1000));
    to.prepare(&mut one).await.unwrap();
    bucket.abort_uploads();
    assert!(to.prepare(&mut one).await.is_err());
    assert_eq!(one.upload_id, None);
    let parts = to.prepare(&mut one).await.unwrap();
    one.parts = Some(parts.into());
    publish(&to, &one).await.unwrap();
    assert_eq!(bucket.get("data/1").unwrap().bytes, noise(1000));
}

#[tokio::test]
async fn a_lost_completion_of_a_listed_upload_is_settled() {
    let (to, bucket, proxy) = through_proxy().await;
    let listed = prepared(&to, "data/1", noise(1000)).await;
    proxy.next("POST", Fault::ResetAfter);
    publish(&to, &listed).await.unwrap();
    publish(&to, &listed).await.unwrap();
    assert_eq!(bucket.get("data/1").unwrap().bytes, noise(1000));
}

#[tokio::test]
async fn a_listed_upload_that_has_vanished_is_told_and_nothing_is_overwritten() {
    let bucket = Weed::shared().bucket();
    let to = connect(bucket.settings()).await;
    let listed = prepared(&to, "data/1", noise(1000)).await;
    bucket.abort_uploads();
    assert_eq!(publish(&to, &listed).await, Err(PublishError::UploadGone));

    let listed = prepared(&to, "data/2", noise(1000)).await;
    bucket.put("data/2", b"theirs");
    let refused = publish(&to, &listed).await;
    assert!(is_foreign(&refused), "{refused:?}");
    assert_eq!(bucket.get("data/2").unwrap().bytes, b"theirs");
}

#[tokio::test]
async fn parts_under_another_name_are_found_and_other_bytes_are_refused() {
    let bucket = Weed::shared().bucket();
    let to = connect(bucket.settings()).await;
    let renamed = |listed: &Publication| {
        let mut parts = listed.parts.clone().unwrap().to_vec();
        parts[0].tag = Some("\"0123456789abcdef0123456789abcdef\"".into());
        Publication {
            parts: Some(parts.into()),
            ..listed.clone()
        }
    };
    let listed = prepared(&to, "data/1", noise(1000)).await;
    publish(&to, &renamed(&listed)).await.unwrap();
    assert_eq!(bucket.get("data/1").unwrap().bytes, noise(1000));

    let mut listed = prepared(&to, "data/2", noise(1000)).await;
    listed.crc64nvme ^= 1;
    let refused = publish(&to, &listed).await;
    assert!(refused.is_err());
    assert!(bucket.get("data/2").is_none());
}

#[tokio::test]
async fn bodies_are_written_read_and_removed() {
    let (to, bucket, proxy) = through_proxy().await;
    let (key, body) = ("errors/.firehose/table/shard/1", noise(3000));
    assert_eq!(to.read_body(key).await, Ok(None));
    proxy.next("PUT", Fault::ResetAfter);
    assert!(is_transient(&to.put_body(key, body.clone()).await));
    to.put_body(key, body.clone()).await.unwrap();
    assert_eq!(to.read_body(key).await, Ok(Some(body)));
    to.remove_body(key).await.unwrap();
    to.remove_body(key).await.unwrap();
    assert_eq!(bucket.keys(), [""; 0]);
}

#[tokio::test]
async fn a_folder_cannot_be_shared() {
    let to = places::folder().await.to;
    let refused = to.prepare(&mut object("data/1", noise(10))).await;
    assert!(matches!(refused, Err(PublishError::Permanent { .. })));
    assert!(to.put_body("key", noise(10)).await.is_err());
    assert!(to.read_body("key").await.is_err() && to.remove_body("key").await.is_err());
}
