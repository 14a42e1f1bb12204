//! What moves and what is stuck, store by store.

use std::collections::BTreeMap;

use super::*;
use crate::checkpoint::{Lane, Target};
use crate::clock::Clock;
use crate::extent::Extent;
use crate::failure::ErrorOutputType;

const LAKE: &str = "folder:/lake";
const APART: &str = "folder:/apart";
const GONE: &str = "folder:/gone";

fn object(id: u64, store: &str) -> SealedObject {
    let extent = Extent {
        file: 0,
        offset: 100 * id,
        len: 100,
        crc64: 1,
    };
    SealedObject {
        id: Uuid::from_u128(id.into()),
        lane: Lane::Error(ErrorOutputType::ProcessingFailed),
        target: Target {
            store: store.into(),
            key: format!("errors/{id}"),
            format: 1,
            is_late: false,
        },
        arrival_ms: 0,
        records: 1,
        bytes: 100,
        size: 100,
        crc64: 1,
        extents: vec![extent],
        counts: Vec::new(),
        was: Vec::new(),
        upload_id: None,
    }
}

/// Objects that wait, as their protocol has them, for two stores of which none is claimed.
fn waiting(objects: &[SealedObject]) -> (Waiting, Protocol) {
    let mut waiting = Waiting::for_stores(vec![LAKE, APART]);
    for object in objects {
        waiting.add(object, Clock::manual(0).moment());
    }
    let protocol = Protocol::recovered(BTreeMap::new(), &[], objects.to_vec());
    (waiting, protocol)
}

#[tokio::test]
async fn an_object_moves_while_its_store_takes_objects_and_is_stuck_while_it_does_not() {
    let objects = [object(1, APART), object(2, APART), object(3, GONE)];
    let (mut waiting, protocol) = waiting(&objects);
    let stuck = |waiting: &Waiting| waiting.stuck_bytes(&protocol);
    assert!(
        !waiting.moves() && stuck(&waiting) == 300,
        "none is claimed"
    );
    assert_eq!(waiting.stuck_at(), [APART], "no table names the other");
    waiting.opened(LAKE);
    assert!(!waiting.moves(), "nothing waits for that one");
    waiting.opened(APART);
    assert!(waiting.moves() && stuck(&waiting) == 100);
    assert!(waiting.takes(APART) && !waiting.takes(GONE));

    let (events, mut due) = tokio::sync::mpsc::unbounded_channel();
    let now = Clock::manual(0).moment();
    let fail = |waiting: &mut Waiting, object: &SealedObject| {
        let slow = PublishError::Transient("slow down".into());
        let setback = waiting.set_back(object, slow, None, now, &events);
        assert!(matches!(setback, Setback::Retry(_)));
    };
    assert_eq!(waiting.next(APART, 9, 1).unwrap(), [objects[0].id]);
    waiting.sending(APART);
    waiting.sent(APART, false, [objects[0].id].into_iter());
    fail(&mut waiting, &objects[0]);
    assert!(!waiting.moves(), "it has taken nothing");
    assert_eq!(waiting.stuck_at(), [APART]);
    assert_eq!(stuck(&waiting), 300);
    assert_eq!(waiting.next(APART, 9, 1).unwrap(), [objects[1].id]);
    waiting.sending(APART);
    waiting.sent(APART, true, [objects[1].id].into_iter());
    assert!(waiting.moves(), "the second is not recorded yet");
    assert_eq!(stuck(&waiting), 200, "the first waits for its next attempt");
    waiting.remove(objects[1].id);
    assert!(!waiting.moves());
    let Some(Event::RetryDue(id)) = due.recv().await else {
        panic!("it is tried again")
    };
    waiting.retry_due(id);
    assert!(waiting.moves() && stuck(&waiting) == 100);

    // What it has refused before says nothing of the next object.
    assert_eq!(waiting.next(APART, 9, 9).unwrap(), [objects[0].id]);
    waiting.sending(APART);
    waiting.sent(APART, false, [objects[0].id].into_iter());
    assert!(waiting.takes(APART));
}

#[tokio::test]
async fn an_object_whose_row_has_changed_is_queued_once_and_not_before_its_time() {
    let objects = [object(1, LAKE)];
    let (mut waiting, _) = waiting(&objects);
    let id = objects[0].id;
    for _ in 0..3 {
        waiting.updated(id);
    }
    assert_eq!(waiting.next(LAKE, 9, 9).unwrap(), [id]);
    assert_eq!(waiting.next(LAKE, 9, 9), None);

    let (events, _due) = tokio::sync::mpsc::unbounded_channel();
    let now = Clock::manual(0).moment();
    let slow = PublishError::Transient("slow down".into());
    waiting.set_back(&objects[0], slow, None, now, &events);
    waiting.updated(id);
    assert_eq!(waiting.next(LAKE, 9, 9), None, "it rests");
    waiting.retry_due(id);
    waiting.updated(id);
    assert_eq!(waiting.next(LAKE, 9, 9).unwrap(), [id]);
    assert_eq!(waiting.next(LAKE, 9, 9), None);
}
