//! What every store promises, held against a folder, an S3 server and the smallest store there can be, and what S3
//! promises on top. Objects in S3 are read back with boto3.

mod memory;
mod places;
mod prepared;
mod s3;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use firehose::destination::{Body, Destination, Publication, PublishError};
use uuid::Uuid;

use places::Place;

/// The bytes of a sealed object, in memory.
#[derive(Debug)]
struct Memory(Bytes);

impl Body for Memory {
    fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let from = usize::try_from(offset).unwrap();
        Ok(self.0.slice(from..from + len))
    }
}

/// Bytes that the disk has damaged.
#[derive(Debug)]
struct Rotten;

impl Body for Rotten {
    fn read(&self, _: u64, _: usize) -> io::Result<Bytes> {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// A sealed object.
pub fn object(key: &str, bytes: impl Into<Bytes>) -> Publication {
    let bytes = bytes.into();
    Publication {
        object_id: Uuid::new_v4(),
        key: key.into(),
        size: bytes.len() as u64,
        crc64nvme: crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &bytes),
        was: Vec::new(),
        content_type: "application/octet-stream",
        content_encoding: None,
        schema: None,
        upload_id: None,
        parts: None,
        body: Arc::new(Memory(bytes)),
    }
}

/// Bytes that do not repeat.
fn noise(len: usize) -> Bytes {
    let mut random = fastrand::Rng::with_seed(len as u64);
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes.into()
}

async fn publish(to: &Destination, one: &Publication) -> Result<(), PublishError> {
    to.publish(std::slice::from_ref(one)).await.pop().unwrap()
}

fn is_foreign(result: &Result<(), PublishError>) -> bool {
    matches!(result, Err(PublishError::Foreign { .. }))
}

fn is_permanent(result: &Result<(), PublishError>) -> bool {
    matches!(result, Err(PublishError::Permanent { .. }))
}

async fn an_object_is_there_whole_once_published(place: Place) {
    for len in [0, 1, 3 << 20] {
        let one = object(&format!("data/day=1/{len}.json"), noise(len));
        place.publish(&one).await.unwrap();
        assert_eq!(place.get(&one.key), Some(noise(len)));
    }
}

async fn publishing_again_changes_nothing(place: Place) {
    let one = object("data/1", noise(1000));
    place.publish(&one).await.unwrap();
    place.publish(&one).await.unwrap();
    assert_eq!(place.get(&one.key), Some(noise(1000)));
}

async fn what_others_wrote_is_refused_and_untouched(place: Place) {
    for theirs in [&b"shorter"[..], &noise(2000)[..1000]] {
        let one = object(&format!("data/{}", theirs.len()), noise(1000));
        place.plant(&one.key, theirs);
        let refused = place.publish(&one).await;
        assert!(is_foreign(&refused), "{refused:?}");
        assert_eq!(place.get(&one.key).as_deref(), Some(theirs));
    }
}

async fn our_id_with_other_content_is_refused_and_untouched(place: Place) {
    let first = object("data/1", noise(1000));
    place.publish(&first).await.unwrap();
    for bytes in [noise(999), noise(2000).slice(..1000)] {
        let other = Publication {
            object_id: first.object_id,
            ..object("data/1", bytes)
        };
        let refused = place.publish(&other).await;
        assert!(is_foreign(&refused), "{refused:?}");
    }
    assert_eq!(place.get("data/1"), Some(noise(1000)));
}

async fn a_key_that_is_taken_amid_a_group_is_not_overwritten(place: Place) {
    // Both see a free key first.
    let group = [object("data/1", noise(1000)), object("data/1", noise(1001))];
    let results = place.to.publish(&group).await;
    assert_eq!(results[0], Ok(()));
    assert!(is_foreign(&results[1]), "{results:?}");
    assert_eq!(place.get("data/1"), Some(noise(1000)));
}

async fn bytes_that_are_not_the_checkpointed_ones_stay_invisible(place: Place) {
    let mut one = object("data/1", noise(1000));
    one.crc64nvme ^= 1;
    let refused = place.publish(&one).await;
    let is_damaged = matches!(refused, Err(PublishError::Damaged(_)));
    assert!(is_damaged || is_permanent(&refused), "{refused:?}");
    assert_eq!(place.get(&one.key), None);
}

/// The reply to the first attempt was lost, and the bytes are damaged since.
async fn an_object_that_lost_damaged_bytes_is_known_as_it_was(place: Place) {
    let whole = object("data/1", noise(1000));
    let damaged = Publication {
        body: Arc::new(Rotten),
        ..whole.clone()
    };
    let refused = place.publish(&damaged).await;
    assert!(
        matches!(refused, Err(PublishError::Damaged(_))),
        "{refused:?}"
    );
    assert_eq!(place.get("data/1"), None);
    place.publish(&whole).await.unwrap();
    place.publish(&damaged).await.unwrap();

    let other = Publication {
        object_id: whole.object_id,
        ..object("data/1", noise(900))
    };
    let mended = Publication {
        was: vec![(1001, 5), (whole.size, whole.crc64nvme)],
        ..other.clone()
    };
    place.publish(&mended).await.unwrap();
    assert_eq!(place.get("data/1"), Some(noise(1000)));
    let refused = place.publish(&other).await;
    assert!(is_foreign(&refused), "{refused:?}");

    let mended = Publication {
        key: "data/2".into(),
        ..mended
    };
    for _ in 0..2 {
        place.publish(&mended).await.unwrap();
    }
    assert_eq!(place.get("data/2"), Some(noise(900)));
}

async fn an_object_of_many_parts_is_there_whole(place: Place) {
    let bytes = noise((20 << 20) + 12345);
    let mut one = object("data/large", bytes.clone());
    if place.to.needs_upload(one.size) {
        one.upload_id = Some(place.to.begin_upload(&one).await.unwrap());
        assert_eq!(place.get(&one.key), None);
    }
    place.publish(&one).await.unwrap();
    place.publish(&one).await.unwrap();
    assert!(place.get(&one.key) == Some(bytes), "the bytes differ");
}

async fn odd_keys_keep_their_spelling(place: Place) {
    for key in [
        "a b/c+d=e%20f/ü",
        "~!@#$&*()'\";:,?<>[]{}|\\^`",
        "x=%2F..%2F/日本",
    ] {
        let one = object(key, key.as_bytes().to_vec());
        place.publish(&one).await.unwrap();
        assert_eq!(place.get(key).as_deref(), Some(key.as_bytes()), "{key:?}");
    }
}

async fn of_many_claims_one_wins_and_may_be_repeated(place: Place) {
    let mut claims = tokio::task::JoinSet::new();
    for n in 0..16 {
        let to = place.to.clone();
        claims.spawn(async move {
            let body = format!("process {n}");
            let won = to
                .claim("errors/.firehose/1", body.as_bytes())
                .await
                .unwrap();
            won.then_some(body)
        });
    }
    let winners: Vec<String> = claims.join_all().await.into_iter().flatten().collect();
    let [winner] = &winners[..] else {
        panic!("winners: {winners:?}")
    };
    assert_eq!(
        place.get("errors/.firehose/1").as_deref(),
        Some(winner.as_bytes())
    );
    assert_eq!(
        place
            .to
            .claim("errors/.firehose/1", winner.as_bytes())
            .await,
        Ok(true)
    );
    assert_eq!(
        place.to.claim("errors/.firehose/1", b"late").await,
        Ok(false)
    );
}

async fn what_it_holds_is_told_without_the_bytes(place: Place) {
    let one = object("data/1", noise(1000));
    let asked = Publication {
        body: Arc::new(Rotten),
        ..one.clone()
    };
    assert_eq!(place.to.holds(&asked).await, Ok(false));
    place.publish(&one).await.unwrap();
    assert_eq!(place.to.holds(&asked).await, Ok(true));
    let other = object("data/1", noise(999));
    let foreign = place.to.holds(&other).await.map(|_| ());
    assert!(is_foreign(&foreign), "{foreign:?}");
}

/// Where it knows uploads: one is resumed after a death amid it, and given up where nobody wants it.
async fn a_torn_upload_is_resumed_or_given_up(place: Place) {
    let bytes = noise(20 << 20);
    let mut one = object("data/large", bytes.clone());
    if !place.to.needs_upload(one.size) {
        return;
    }
    assert_eq!(place.publish(&one).await, Err(PublishError::UploadGone));
    let given_up = place.to.begin_upload(&one).await.unwrap();
    one.upload_id = Some(given_up.clone());
    let head = object("data/large", bytes.slice(..12 << 20));
    let head = Publication {
        object_id: one.object_id,
        upload_id: one.upload_id.clone(),
        ..head
    };
    place.to.send_full_parts(&head, 0).await.unwrap();
    for _ in 0..2 {
        place.to.abort_upload(&one.key, &given_up).await.unwrap();
    }
    assert_eq!(place.publish(&one).await, Err(PublishError::UploadGone));
    assert_eq!(place.get(&one.key), None);

    one.upload_id = Some(place.to.begin_upload(&one).await.unwrap());
    let head = Publication {
        upload_id: one.upload_id.clone(),
        ..head
    };
    assert!(place.to.full_parts(head.size) > 0);
    place.to.send_full_parts(&head, 0).await.unwrap();
    place.publish(&one).await.unwrap();
    assert!(place.get(&one.key) == Some(bytes), "the bytes differ");
}

/// Where its settings say that daemons on several machines can share it: what one prepares another completes without
/// the bytes, and bodies go from one to another.
async fn what_one_machine_prepares_another_completes_where_it_can_be_shared(place: Place) {
    if place.settings.of_one_machine().is_some() {
        return;
    }
    let mut one = object("data/1", noise(1000));
    let parts = place.to.prepare(&mut one).await.unwrap();
    assert_eq!(place.get(&one.key), None);
    place.to.put_body("bodies/1", noise(10)).await.unwrap();

    let other = Destination::connect(&place.settings).await.unwrap();
    let listed = Publication {
        parts: Some(parts.into()),
        body: Arc::new(Rotten),
        ..one
    };
    publish(&other, &listed).await.unwrap();
    assert_eq!(place.get("data/1"), Some(noise(1000)));
    assert_eq!(other.read_body("bodies/1").await, Ok(Some(noise(10))));
    other.remove_body("bodies/1").await.unwrap();
    assert_eq!(place.to.read_body("bodies/1").await, Ok(None));
}

/// Runs each promise against the store of a place.
macro_rules! promises {
    ($place:path) => {
        promises! { $place =>
            an_object_is_there_whole_once_published
            publishing_again_changes_nothing
            what_others_wrote_is_refused_and_untouched
            our_id_with_other_content_is_refused_and_untouched
            a_key_that_is_taken_amid_a_group_is_not_overwritten
            bytes_that_are_not_the_checkpointed_ones_stay_invisible
            an_object_that_lost_damaged_bytes_is_known_as_it_was
            an_object_of_many_parts_is_there_whole
            odd_keys_keep_their_spelling
            of_many_claims_one_wins_and_may_be_repeated
            what_it_holds_is_told_without_the_bytes
            a_torn_upload_is_resumed_or_given_up
            what_one_machine_prepares_another_completes_where_it_can_be_shared
        }
    };
    ($place:path => $($promise:ident)*) => {
        $(#[tokio::test] async fn $promise() { super::$promise($place().await).await; })*
    };
}

mod folder {
    promises!(crate::destination::places::folder);
}

mod seaweed {
    promises!(crate::destination::places::s3);
}

mod in_memory {
    promises!(crate::destination::places::memory);
}
