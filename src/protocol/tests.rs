//! What the model does not meet because the pipeline never does it: rules that would be broken, and what is only so
//! where a stream is shared.

use super::objects::GONE_MAX;
use super::*;
use crate::checkpoint::StoreReceipt;
use crate::coordination::{LeaseCheckpoint, LeaseReceipt};
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

/// A checkpoint of these rows.
fn drafted(protocol: &mut Protocol, rows: Vec<OpenBatch>) -> Result<Transaction, StreamError> {
    let mut draft = protocol.draft().unwrap();
    for row in &rows {
        protocol.take_in(&mut draft, row.id);
    }
    draft.transaction(rows)
}

fn stored(transaction: Transaction) -> Durable {
    let stored =
        transaction.stored(|commit| Ok::<_, StreamError>(StoreReceipt::of_a_model(commit)));
    stored.unwrap()
}

/// One of a shared stream with an object that lies in the spool, and is on no list.
fn gathering() -> Protocol {
    let mut protocol = Protocol::default();
    protocol.claimed("s3://lake");
    assert!(protocol.seal(ID));
    let objects = protocol.spill().objects([batch(true, &[FINAL, REST])]);
    for object in objects.unwrap() {
        protocol.gather(object).unwrap();
    }
    protocol
}

/// The object, when all its bytes are at the destination.
fn prepared() -> SealedObject {
    SealedObject {
        upload_id: Some("u".into()),
        extents: Vec::new(),
        ..object()
    }
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
    stops(
        "final bytes",
        drafted(&mut protocol, vec![batch(false, &[RAW])]),
    );

    let mut protocol = Protocol::default();
    protocol.let_go([RAW]);
    stops(
        "does not name what it frees",
        drafted(&mut protocol, vec![batch(false, &[RAW])]),
    );

    let mut protocol = Protocol::default();
    let at = |sequence| Position::of(Sequence(sequence));
    protocol.advance(JOURNAL, at(5)).unwrap();
    stops("positions", protocol.advance(JOURNAL, at(5)));

    let mut protocol = Protocol::default();
    assert!(protocol.seal(ID));
    let sealed = drafted(&mut protocol, vec![batch(true, &[FINAL])]).unwrap();
    protocol.durable(stored(sealed.clone())).unwrap();
    stops("one object", protocol.durable(stored(sealed)));

    let mut protocol = listing();
    assert!(protocol.seal(ID));
    let again = drafted(&mut protocol, vec![batch(true, &[FINAL])]);
    stops("one object", again);

    let mut protocol = Protocol::default();
    assert!(protocol.seal(ID));
    stops("becomes an object", drafted(&mut protocol, Vec::new()));

    let mut protocol = Protocol::default();
    protocol.advance(JOURNAL, at(5)).unwrap();
    let mut draft = protocol.draft().unwrap();
    protocol.take_in(&mut draft, ID);
    stops("in the batches", draft.transaction(Vec::new()));

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
    stops("C5", drafted(&mut protocol, Vec::new()));
}

#[test]
fn bytes_that_a_row_names_which_stays_as_it_is_are_not_freed() {
    let rule = "does not name what it frees";
    // An open batch, an object, and either as a checkpoint of before has it.
    let mut open = Protocol::recovered(BTreeMap::new(), &[batch(false, &[RAW])], Vec::new());
    let mut listed = listing();
    let mut named = Protocol::default();
    let row = drafted(&mut named, vec![batch(false, &[RAW])]).unwrap();
    named.durable(stored(row)).unwrap();
    let mut sealed = Protocol::default();
    assert!(sealed.seal(ID));
    let row = drafted(&mut sealed, vec![batch(true, &[FINAL])]).unwrap();
    sealed.durable(stored(row)).unwrap();
    for (protocol, freed) in [
        (&mut open, RAW),
        (&mut listed, REST),
        (&mut named, RAW),
        (&mut sealed, FINAL),
    ] {
        protocol.let_go([freed]);
        stops(rule, drafted(&mut protocol.clone(), Vec::new()));
    }
    // A row that names them no more, and one that is gone, free them.
    let changed = drafted(&mut open.clone(), vec![batch(true, &[FINAL])]).unwrap();
    assert_eq!(stored(changed).freed(), [RAW]);
    assert!(open.close(ID));
    let gone = drafted(&mut open, Vec::new()).unwrap();
    assert_eq!(stored(gone).freed(), [RAW]);
}

#[test]
fn a_batch_ends_with_what_it_was_opened_with() {
    let rule = "C7";
    let opened = batch(false, &[RAW]);
    let with = |change: fn(&mut OpenBatch)| {
        let mut row = opened.clone();
        change(&mut row);
        row
    };
    let others = [
        with(|row| row.target.key = "another".into()),
        with(|row| row.target.format = 1),
        with(|row| row.target.store = "s3://another".into()),
        with(|row| row.opened_ms = 1),
        with(|row| row.identity = "another".into()),
        with(|row| row.lane = crate::checkpoint::Lane::Backup),
    ];
    let recovered = Protocol::recovered(BTreeMap::new(), std::slice::from_ref(&opened), Vec::new());
    let mut named = Protocol::default();
    let row = drafted(&mut named, vec![opened.clone()]).unwrap();
    named.durable(stored(row)).unwrap();
    for before in [recovered, named] {
        for other in &others {
            stops(rule, drafted(&mut before.clone(), vec![other.clone()]));
        }
        let more = with(|row| (row.records, row.bytes, row.sealing) = (9, 9, true));
        drafted(&mut before.clone(), vec![more]).unwrap();
        let mut draft = before.clone().draft().unwrap();
        assert_eq!(before.take_in(&mut draft, Uuid::from_u128(8)), None);
        stops(rule, draft.transaction(vec![opened.clone()]));
    }
}

#[test]
fn what_was_sent_where_nothing_is_claimed_stops_the_stream() {
    let mut unclaimed = Protocol::recovered(BTreeMap::new(), &[], vec![object()]);
    assert!(unclaimed.hold(ID).is_some());
    stops("C6", unclaimed.clone().published(ID));
    stops("C6", unclaimed.clone().begun(ID, "u".into()));
    stops("C6", unclaimed.clone().upload_gone(ID));
    unclaimed.not_sent(ID).unwrap();
}

#[test]
fn a_stream_does_not_end_while_something_waits_for_its_stores() {
    let lake = |store: &str| store == "s3://lake";
    stops("C8", listing().ends(lake));
    stops("C8", gathering().ends(lake));
    listing().ends(|_| false).unwrap();
    let mut protocol = sending();
    protocol.published(ID).unwrap();
    protocol.ends(lake).unwrap();
}

#[test]
fn a_shared_checkpoint_passes_what_is_in_its_objects() {
    stops("C9", Protocol::default().hand_over(1));
    let mut protocol = Protocol::default();
    assert!(protocol.seal(ID));
    stops("C9", protocol.hand_over(0));
    let spilling = protocol.spill();
    stops("C9", protocol.hand_over(0));
    stops("C9", spilling.clone().objects([]));
    stops("C1", spilling.objects([batch(false, &[RAW])]));
    stops("C9", Protocol::default().gather(object()));

    let mut protocol = gathering();
    let draft = protocol.hand_over(0).unwrap().unwrap();
    assert_eq!(
        protocol.hand_over(0).unwrap(),
        None,
        "one is made at a time"
    );
    assert_eq!(protocol.unlist().unwrap(), None, "one is made at a time");
    stops("C9", protocol.withdraw(draft));
    protocol.let_go([FINAL]);
    stops("C3", protocol.free_unnamed(false));

    let mut protocol = sending();
    protocol.partly(ID, [Uuid::from_u128(8)]).unwrap();
    stops("C5", protocol.unlist());
}

#[test]
fn a_shared_checkpoint_lists_what_is_at_the_destination_and_keeps_what_is_not_visible() {
    let mut protocol = gathering();
    let draft = protocol.hand_over(0).unwrap().unwrap();
    let mut other = prepared();
    other.crc64 += 1;
    let without_upload = SealedObject {
        upload_id: None,
        ..prepared()
    };
    for list in [
        vec![],
        vec![object()],
        vec![without_upload],
        vec![other],
        vec![prepared(), prepared()],
    ] {
        stops("C9", draft.clone().transaction(list));
    }
    let transaction = draft.transaction([prepared()]).unwrap();
    let written = |waiting| LeaseCheckpoint {
        waiting,
        ..LeaseCheckpoint::default()
    };
    let other = written(2);
    let other = transaction.clone().leased(LeaseReceipt::of_a_model(&other));
    stops("C9", other);
    let one = written(1);
    let durable = transaction.leased(LeaseReceipt::of_a_model(&one)).unwrap();
    assert_eq!(durable.freed(), [FINAL, REST]);
    assert_eq!(protocol.next(ID, |_| false), None, "nobody has told of it");
    let allowed = protocol.durable(durable).unwrap();
    assert_eq!(allowed.listed, [ID]);
    assert_eq!(protocol.next(ID, |_| true), Some(Step::Send(&prepared())));
    protocol.not_sent(ID).unwrap();
    let draft = protocol.unlist().unwrap().unwrap();
    stops("C9", draft.clone().transaction([]));
    let transaction = draft.with_untold(2).transaction([prepared()]).unwrap();
    let (few, all) = (written(1), written(3));
    let leased = |written| {
        let receipt = LeaseReceipt::of_a_model(written);
        transaction.clone().leased(receipt)
    };
    stops("C9", leased(&few));
    leased(&all).unwrap();
}

#[test]
fn a_shared_checkpoint_that_says_nothing_new_leaves_all_as_it_was() {
    let mut protocol = Protocol::taken_over(BTreeMap::new(), [prepared()]);
    protocol.claimed("s3://lake");
    protocol.next(ID, |_| false).unwrap();
    protocol.published(ID).unwrap();
    let before = protocol.clone();
    let draft = protocol.hand_over(0).unwrap().unwrap();
    protocol.withdraw(draft).unwrap();
    assert_eq!(protocol, before);
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
    let durable = stored(draft.transaction(Vec::new()).unwrap());
    assert_eq!(durable.freed(), [RAW]);
    protocol.durable(durable).unwrap();
    let durable = stored(drafted(&mut protocol, Vec::new()).unwrap());
    assert_eq!(durable.freed(), [FINAL]);
}

#[test]
fn the_bytes_of_a_published_object_are_freed_one_checkpoint_after_it_is_forgotten() {
    let mut protocol = sending();
    protocol.published(ID).unwrap();
    assert_eq!(protocol.unpublished().count(), 0);
    for freed in [&[][..], &[FINAL, REST]] {
        let transaction = drafted(&mut protocol, Vec::new()).unwrap();
        let forgets = freed.is_empty();
        assert_eq!(transaction.commit().published.len(), usize::from(forgets));
        let durable = stored(transaction);
        assert_eq!(durable.freed(), freed);
        protocol.durable(durable).unwrap();
    }
    assert_eq!(protocol.listed(), 0);
}

#[test]
fn an_upload_with_all_that_there_is_of_an_object_is_asked_for_again_before_it_is_lost() {
    let mut protocol = Protocol::taken_over(BTreeMap::new(), [prepared()]);
    protocol.claimed("s3://lake");
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
    assert_eq!(protocol.free_unnamed(true).unwrap(), []);
    assert_eq!(protocol.free_unnamed(false).unwrap(), [RAW]);
    assert!(protocol.seal(ID));
    assert_eq!(protocol.spill().batches().collect::<Vec<_>>(), [ID]);
    assert!(!protocol.has_sealed());
}
