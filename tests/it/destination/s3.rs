//! What the S3 destination promises beyond what every destination does.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use firehose::config::{Secret, StoreSettings};
use firehose::destination::{
    Conditional, Destination, Publication, PublishError, S3Encryption, S3Settings,
};

use super::{is_foreign, noise, object, publish};
use crate::support::proxy::{Fault, Proxy};
use crate::support::servers::{Bucket, Weed};

pub(super) async fn connect(settings: S3Settings) -> Destination {
    Destination::connect(&StoreSettings::from(settings))
        .await
        .unwrap()
}

/// A bucket behind a proxy that does what a test tells it.
pub(super) async fn through_proxy() -> (Destination, Bucket, Proxy) {
    let bucket = Weed::shared().bucket();
    let proxy = Proxy::start(Weed::shared().address(), 1, &[]);
    let settings = S3Settings {
        endpoint: Some(proxy.endpoint()),
        ..bucket.settings()
    };
    (connect(settings).await, bucket, proxy)
}

/// An object large enough for an upload, which is begun.
async fn begun(to: &Destination, key: &str) -> Publication {
    let mut one = object(key, noise(20 << 20));
    one.upload_id = Some(to.begin_upload(&one).await.unwrap());
    one
}

/// What the proxy saw, in few words: the methods and which part.
pub(super) fn methods(proxy: &Proxy) -> Vec<String> {
    let passed = proxy.passed().into_iter();
    passed
        .map(|one| one.line.split(' ').next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn options_come_back_as_they_were_set() {
    let bucket = Weed::shared().bucket();
    let tags = [
        ("team", "a b"),
        ("cost/center", "1+1=2&more"),
        ("ünï", "~x_.-"),
    ];
    let settings = S3Settings {
        storage_class: Some("STANDARD_IA".into()),
        encryption: Some(S3Encryption::S3),
        tags: tags
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect(),
        ..bucket.settings()
    };
    let to = connect(settings).await;
    let mut small = object("small.json.gz", noise(1000));
    small.content_type = "application/x-ndjson";
    small.content_encoding = Some("gzip");
    small.schema = Some("0123456789abcdef".into());
    let large = object("large.json.gz", noise(17 << 20));
    let mut large = Publication {
        content_type: small.content_type,
        content_encoding: small.content_encoding,
        schema: small.schema.clone(),
        ..large
    };
    large.upload_id = Some(to.begin_upload(&large).await.unwrap());
    for one in [small, large] {
        publish(&to, &one).await.unwrap();
        let told = bucket.get(&one.key).unwrap().told;
        assert_eq!(
            told["metadata"]["firehose-object-id"],
            one.object_id.to_string()
        );
        assert_eq!(told["metadata"]["firehose-schema"], "0123456789abcdef");
        assert_eq!(told["content_type"], "application/x-ndjson");
        assert_eq!(told["content_encoding"], "gzip");
        assert_eq!(told["storage_class"], "STANDARD_IA");
        assert_eq!(told["encryption"], "AES256");
        let wanted: BTreeMap<_, _> = tags.into_iter().collect();
        assert_eq!(told["tags"], serde_json::json!(wanted));
    }
}

#[tokio::test]
async fn a_lost_reply_is_settled_without_sending_twice() {
    let (to, bucket, proxy) = through_proxy().await;
    proxy.next("PUT", Fault::ResetAfter);
    let one = object("data/1", noise(1000));
    publish(&to, &one).await.unwrap();
    assert_eq!(methods(&proxy), ["PUT", "HEAD"]);
    assert_eq!(bucket.get("data/1").unwrap().bytes, noise(1000));
}

#[tokio::test]
async fn a_lost_reply_that_cannot_be_settled_is_tried_again_and_found() {
    let (to, _bucket, proxy) = through_proxy().await;
    proxy.next("PUT", Fault::ResetAfter);
    proxy.next("HEAD", Fault::SlowDown);
    let one = object("data/1", noise(1000));
    let lost = publish(&to, &one).await;
    assert!(matches!(lost, Err(PublishError::Transient(_))), "{lost:?}");
    publish(&to, &one).await.unwrap();
    assert_eq!(methods(&proxy), ["PUT", "HEAD", "PUT", "HEAD"]);
}

#[tokio::test]
async fn a_lost_claim_is_still_ours() {
    let (to, _bucket, proxy) = through_proxy().await;
    proxy.next("PUT", Fault::ResetAfter);
    assert_eq!(to.claim("errors/.firehose/1", b"me").await, Ok(true));
    assert_eq!(to.claim("errors/.firehose/1", b"you").await, Ok(false));
}

#[tokio::test]
async fn errors_that_pass_are_transient_and_nothing_is_tried_in_secret() {
    let (to, bucket, proxy) = through_proxy().await;
    let one = object("data/1", noise(1000));
    for fault in [Fault::InternalError, Fault::SlowDown, Fault::ResetBefore] {
        proxy.next("PUT", fault);
        let failed = publish(&to, &one).await;
        assert!(
            matches!(failed, Err(PublishError::Transient(_))),
            "{fault:?}: {failed:?}"
        );
        let puts = methods(&proxy)
            .iter()
            .filter(|method| *method == "PUT")
            .count();
        assert_eq!(puts, 1, "{fault:?}");
    }
    publish(&to, &one).await.unwrap();
    assert_eq!(bucket.keys(), ["data/1"]);
}

#[tokio::test]
async fn an_upload_goes_on_where_it_was_interrupted() {
    let (to, bucket, proxy) = through_proxy().await;
    let one = begun(&to, "data/large").await;
    proxy.next("PUT", Fault::InternalError);
    let failed = publish(&to, &one).await;
    assert!(
        matches!(failed, Err(PublishError::Transient(_))),
        "{failed:?}"
    );
    // The other parts that were on their way may have arrived or not; these two surely arrive.
    proxy.next("POST", Fault::InternalError);
    let failed = publish(&to, &one).await;
    assert!(
        matches!(failed, Err(PublishError::Transient(_))),
        "{failed:?}"
    );
    proxy.passed();
    publish(&to, &one).await.unwrap();
    assert_eq!(
        methods(&proxy),
        ["GET", "POST"],
        "parts were sent although they had arrived"
    );
    assert!(
        bucket.get("data/large").unwrap().bytes == noise(20 << 20),
        "the bytes differ"
    );
    assert_eq!(bucket.uploads(), [""; 0]);
}

#[tokio::test]
async fn parts_of_an_object_that_still_grows_are_sent_once() {
    let (to, bucket, proxy) = through_proxy().await;
    let bytes = noise(20 << 20);
    let whole = object("data/large", bytes.clone());
    let upload_id = to.begin_upload(&whole).await.unwrap();
    let head = |len: usize| Publication {
        upload_id: Some(upload_id.clone()),
        object_id: whole.object_id,
        ..object("data/large", bytes.slice(..len))
    };
    let (early, later) = (head(9 << 20), head(17 << 20));
    assert_eq!(to.full_parts(early.size), 1);
    assert_eq!(to.full_parts(later.size), 2);
    proxy.passed();
    to.send_full_parts(&early, 0).await.unwrap();
    assert_eq!(methods(&proxy), ["GET", "PUT"]);
    // Another process does not know, and asks.
    to.send_full_parts(&early, 0).await.unwrap();
    assert_eq!(methods(&proxy), ["GET"]);
    proxy.next("PUT", Fault::SlowDown);
    let failed = to.send_full_parts(&later, 1).await;
    assert!(
        matches!(failed, Err(PublishError::Transient(_))),
        "{failed:?}"
    );
    to.send_full_parts(&later, 1).await.unwrap();
    proxy.passed();
    publish(&to, &head(20 << 20)).await.unwrap();
    assert_eq!(methods(&proxy), ["GET", "PUT", "POST"], "one part was left");
    assert!(
        bucket.get("data/large").unwrap().bytes == bytes,
        "the bytes differ"
    );
}

#[tokio::test]
async fn an_object_smaller_than_a_part_completes_the_upload_that_was_begun_for_it() {
    let bucket = Weed::shared().bucket();
    let to = connect(bucket.settings()).await;
    let mut one = object("data/small", noise(1000));
    one.upload_id = Some(to.begin_upload(&one).await.unwrap());
    publish(&to, &one).await.unwrap();
    assert_eq!(bucket.get("data/small").unwrap().bytes, noise(1000));
    assert_eq!(bucket.uploads(), [""; 0]);
}

#[tokio::test]
async fn a_lost_completion_is_settled() {
    let (to, bucket, proxy) = through_proxy().await;
    let one = begun(&to, "data/large").await;
    proxy.next("POST", Fault::ResetAfter);
    publish(&to, &one).await.unwrap();
    publish(&to, &one).await.unwrap();
    assert!(
        bucket.get("data/large").unwrap().bytes == noise(20 << 20),
        "the bytes differ"
    );
}

#[tokio::test]
async fn a_vanished_upload_is_reported_and_can_be_sent_anew() {
    let bucket = Weed::shared().bucket();
    let to = connect(bucket.settings()).await;
    let mut one = begun(&to, "data/large").await;
    let upload_id = one.upload_id.clone().unwrap();
    to.abort_upload(&one.key, &upload_id).await.unwrap();
    to.abort_upload(&one.key, &upload_id).await.unwrap();
    assert_eq!(
        to.send_full_parts(&one, 0).await,
        Err(PublishError::UploadGone)
    );
    assert_eq!(publish(&to, &one).await, Err(PublishError::UploadGone));
    one.upload_id = None;
    assert_eq!(publish(&to, &one).await, Err(PublishError::UploadGone));
    one.upload_id = Some(to.begin_upload(&one).await.unwrap());
    publish(&to, &one).await.unwrap();
    assert!(
        bucket.get("data/large").unwrap().bytes == noise(20 << 20),
        "the bytes differ"
    );
}

#[tokio::test]
async fn an_upload_never_overwrites_what_others_wrote() {
    let bucket = Weed::shared().bucket();
    let to = connect(bucket.settings()).await;
    let one = begun(&to, "data/large").await;
    bucket.put("data/large", b"theirs");
    let refused = publish(&to, &one).await;
    assert!(is_foreign(&refused), "{refused:?}");
    assert_eq!(bucket.get("data/large").unwrap().bytes, b"theirs");
}

#[tokio::test]
async fn an_upload_of_damaged_bytes_is_not_completed() {
    let bucket = Weed::shared().bucket();
    let to = connect(bucket.settings()).await;
    let mut one = begun(&to, "data/large").await;
    one.crc64nvme ^= 1;
    let refused = publish(&to, &one).await;
    assert!(
        matches!(refused, Err(PublishError::Damaged(_))),
        "{refused:?}"
    );
    assert_eq!(bucket.keys(), [""; 0]);
}

#[tokio::test]
async fn a_store_that_keeps_conditions_says_so_each_time() {
    let bucket = Weed::shared().bucket();
    let to = connect(bucket.settings()).await;
    assert_eq!(
        to.probe("errors/.firehose/probe").await,
        Ok(Conditional::Yes)
    );
    assert_eq!(
        to.probe("errors/.firehose/probe").await,
        Ok(Conditional::Yes)
    );
}

#[tokio::test]
async fn wrong_settings_are_named_and_mending_them_is_enough() {
    let bucket = Weed::shared().bucket();
    let right = bucket.settings();
    let one = object("data/1", noise(1000));
    let wrong = [
        (
            "`bucket`",
            S3Settings {
                bucket: "not-there".into(),
                ..right.clone()
            },
        ),
        (
            "`access_key_id`",
            S3Settings {
                access_key_id: Some("who".into()),
                ..right.clone()
            },
        ),
        (
            "`secret_access_key`",
            S3Settings {
                secret_access_key: Some(Secret("guess".into())),
                ..right.clone()
            },
        ),
        (
            "`profile`",
            S3Settings {
                access_key_id: None,
                profile: Some("firehose-tests-have-none".into()),
                ..right.clone()
            },
        ),
    ];
    for (named, settings) in wrong {
        match publish(&connect(settings).await, &one).await {
            Err(PublishError::Permanent { advice, cause }) => {
                assert!(advice.contains(named), "{named}: {cause} ({advice})");
            }
            other => panic!("{named}: {other:?}"),
        }
    }
    publish(&connect(right).await, &one).await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_down_is_waited_for() {
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address: SocketAddr = held.local_addr().unwrap();
    drop(held);
    let bucket = Weed::shared().bucket();
    let settings = S3Settings {
        endpoint: Some(format!("http://{address}")),
        ..bucket.settings()
    };
    let failed = publish(&connect(settings).await, &object("data/1", noise(10))).await;
    let Err(PublishError::Unreachable { cause, advice }) = failed else {
        panic!("{failed:?}");
    };
    let from = format!("no answer from http://{address}: Connection refused");
    assert!(cause.contains(&from), "{cause}");
    let said = format!("`endpoint` of the destination says http://{address}");
    assert!(advice.contains(&said), "{advice}");
}

#[tokio::test]
async fn through_a_bad_network_every_object_arrives_once() {
    let bucket = Weed::shared().bucket();
    let faults = [
        Fault::InternalError,
        Fault::SlowDown,
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::Slow,
    ];
    let proxy = Proxy::start(
        Weed::shared().address(),
        7,
        &faults.map(|fault| (fault, 10)),
    );
    let settings = S3Settings {
        endpoint: Some(proxy.endpoint()),
        ..bucket.settings()
    };
    let to = connect(settings).await;
    let mut wanted = Vec::new();
    for n in 0..40 {
        let one = object(&format!("data/{n:02}"), noise(1000 + n));
        while let Err(error) = publish(&to, &one).await {
            assert!(matches!(error, PublishError::Transient(_)), "{error:?}");
        }
        wanted.push(one.key);
    }
    let counts = proxy.counts();
    for fault in faults {
        assert!(
            counts.contains_key(&fault),
            "no request met {fault:?}: {counts:?}"
        );
    }
    proxy.calm();
    proxy.passed();
    publish(&to, &object("data/40", noise(1))).await.unwrap();
    assert!(proxy.passed().iter().all(|one| one.fault == Fault::Pass));
    wanted.push("data/40".into());
    assert_eq!(bucket.keys(), wanted);
    assert_eq!(bucket.get("data/07").unwrap().bytes, noise(1007));
}
