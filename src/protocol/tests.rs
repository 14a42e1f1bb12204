//! What the model does not meet because the pipeline never does it: rules that would be broken, and what is only so
//! where a stream is shared.

use super::*;
use crate::position::Sequence;
use crate::shard::JOURNAL;

const ID: Uuid = Uuid::from_u128(7);
const RAW: Extent = extent(1);
const FINAL: Extent = extent(2);
const REST: Extent = extent(3);

const fn extent(offset: u64) -> Extent {
    Extent {
        file: 0,
        offset,
        len: 10,
        crc64: offset,
    }
}

fn batch(encoded: bool, extents: &[Extent]) -> OpenBatch {
    let row = serde_json::json!({
        "id": ID, "lane": "Data", "identity": "", "opened_ms": 0, "arrival_ms": 0, "records": 1,
        "bytes": 8, "sealing": false, "blocks": [{"encoded": encoded, "extents": extents}],
        "target": {"store": "s3://lake", "key": "k", "format": 0},
    });
    serde_json::from_value(row).unwrap()
}

fn object() -> SealedObject {
    batch(true, &[FINAL, REST]).into_object()
}

/// A protocol whose durable checkpoint lists an object.
fn listing() -> Protocol {
    let mut protocol = Protocol::recovered(BTreeMap::new(), &[], vec![object()]);
    protocol.claimed("s3://lake");
    protocol
}

/// The same, with an attempt under way.
fn sending() -> Protocol {
    let mut protocol = listing();
    assert_eq!(
        protocol.next(ID, |_| false),
        Some(Step::Send(&object())),
        "it is listed"
    );
    protocol
}

fn stops<T: std::fmt::Debug>(rule: &str, found: Result<T, StreamError>) {
    match found {
        Err(StreamError::LoudStop { cause, .. }) => assert!(cause.contains(rule), "{cause}"),
        found => panic!("{rule} was broken: {found:?}"),
    }
}

#[test]
fn a_rule_that_would_be_broken_stops_the_stream() {
    let mut protocol = Protocol::default();
    assert!(protocol.seal(ID));
    let draft = protocol.draft().unwrap();
    stops("final bytes", draft.transaction(vec![batch(false, &[RAW])]));

    let mut protocol = Protocol::default();
    protocol.let_go([RAW]);
    let draft = protocol.draft().unwrap();
    stops(
        "does not name what it frees",
        draft.transaction(vec![batch(false, &[RAW])]),
    );

    let mut protocol = Protocol::default();
    let at = |sequence| Position::of(Sequence(sequence));
    protocol.advance(JOURNAL, at(5)).unwrap();
    stops("positions", protocol.advance(JOURNAL, at(5)));

    let mut protocol = Protocol::default();
    assert!(protocol.seal(ID));
    let draft = protocol.draft().unwrap();
    let sealed = draft.transaction(vec![batch(true, &[FINAL])]).unwrap();
    let durable = sealed.durable();
    protocol.durable(durable.clone()).unwrap();
    stops("one object", protocol.durable(durable));

    let mut protocol = sending();
    protocol.published(ID).unwrap();
    stops("from step to step", protocol.not_sent(ID));
    stops("from step to step", listing().published(ID));
    stops("from step to step", listing().begun(ID, "u".into()));

    let mut other = without(&object(), vec![FINAL], Vec::new(), 1);
    other.target.key = "another".into();
    stops("the same object", sending().mended(other));
    let mut forgetful = without(&object(), vec![FINAL], Vec::new(), 1);
    forgetful.was.clear();
    stops("the same object", sending().mended(forgetful));

    stops("a moved object", sending().moved(ID, vec![FINAL]));

    let mut protocol = sending();
    protocol.partly(ID, [Uuid::from_u128(8)]).unwrap();
    let draft = protocol.draft().unwrap();
    stops("C5", draft.transaction(Vec::new()));

    stops("C9", Protocol::default().hand_over(1));
}

#[test]
fn nothing_is_sent_before_the_epoch_is_claimed_nor_twice_at_a_time() {
    let mut protocol = Protocol::recovered(BTreeMap::new(), &[], vec![object()]);
    assert_eq!(protocol.next(ID, |_| false), None);
    assert_eq!(sending().next(ID, |_| false), None);
    assert_eq!(listing().next(ID, |_| true), Some(Step::Begin(&object())));
}

#[test]
fn what_is_let_go_while_a_checkpoint_is_made_is_freed_with_the_one_after() {
    let mut protocol = Protocol::default();
    protocol.let_go([RAW]);
    let draft = protocol.draft().unwrap();
    protocol.let_go([FINAL]);
    assert_eq!(protocol.draft(), None, "one is made at a time");
    let durable = draft.transaction(Vec::new()).unwrap().durable();
    assert_eq!(durable.freed(), [RAW]);
    protocol.durable(durable).unwrap();
    let draft = protocol.draft().unwrap();
    let durable = draft.transaction(Vec::new()).unwrap().durable();
    assert_eq!(durable.freed(), [FINAL]);
}

#[test]
fn the_bytes_of_a_published_object_are_freed_one_checkpoint_after_it_is_forgotten() {
    let mut protocol = sending();
    protocol.published(ID).unwrap();
    assert_eq!(protocol.unpublished().count(), 0);
    for freed in [&[][..], &[FINAL, REST]] {
        let transaction = protocol.draft().unwrap().transaction(Vec::new()).unwrap();
        let forgets = freed.is_empty();
        assert_eq!(transaction.commit().published.len(), usize::from(forgets));
        let durable = transaction.durable();
        assert_eq!(durable.freed(), freed);
        protocol.durable(durable).unwrap();
    }
    assert_eq!(protocol.listed(), 0);
}

#[test]
fn an_upload_with_all_that_there_is_of_an_object_is_asked_for_again_before_it_is_lost() {
    let mut protocol = Protocol::default();
    protocol.claimed("s3://lake");
    protocol.list_prepared(object());
    for time in 0..=GONE_MAX {
        assert!(protocol.next(ID, |_| false).is_some(), "{time}");
        assert_eq!(
            protocol.damaged(ID).unwrap(),
            None,
            "its bytes are not here"
        );
        let gone = protocol.upload_gone(ID).unwrap();
        let is_last = time == GONE_MAX;
        assert_eq!(gone, if is_last { Gone::Lost } else { Gone::Again });
    }
}

#[test]
fn a_spool_that_no_checkpoint_names_is_freed_when_nothing_reads_it() {
    let mut protocol = Protocol::default();
    protocol.let_go([RAW]);
    assert_eq!(protocol.free_unnamed(true), []);
    assert_eq!(protocol.free_unnamed(false), [RAW]);
    assert!(protocol.seal(ID));
    assert_eq!(protocol.spill(), BTreeSet::from([ID]));
    assert!(!protocol.has_sealed());
}
