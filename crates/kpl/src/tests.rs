//! Aggregates as the library writes them, and as nobody should.

use proptest::prelude::*;

use super::*;

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7F).unwrap() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap());
}

fn field(tag: u64, bytes: &[u8], out: &mut Vec<u8>) {
    varint(tag << 3 | 2, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn record(key: u64, hash_key: Option<u64>, data: &[u8]) -> Vec<u8> {
    let mut out = vec![1 << 3];
    varint(key, &mut out);
    if let Some(index) = hash_key {
        out.push(2 << 3);
        varint(index, &mut out);
    }
    field(3, data, &mut out);
    field(4, b"\x0a\x01k", &mut out);
    out
}

fn sealed(message: &[u8]) -> Vec<u8> {
    [MAGIC, message, &Md5::digest(message)].concat()
}

/// Key, hash key and data of a record.
type Written = (Vec<u8>, Option<Vec<u8>>, Vec<u8>);

/// What a producer library makes of these records.
fn aggregate(records: &[Written], keys_last: bool) -> Vec<u8> {
    let (mut tables, mut bodies) = (Vec::new(), Vec::new());
    let mut hash_keys = 0;
    for (index, (key, hash_key, data)) in (0..).zip(records) {
        field(1, key, &mut tables);
        if let Some(hash_key) = hash_key {
            field(2, hash_key, &mut tables);
            hash_keys += 1;
        }
        let at = hash_key.as_ref().map(|_| hash_keys - 1);
        field(3, &record(index, at, data), &mut bodies);
    }
    let parts = if keys_last {
        [bodies, tables]
    } else {
        [tables, bodies]
    };
    sealed(&parts.concat())
}

fn broken(data: &[u8]) -> bool {
    matches!(parse(data), Content::Broken)
}

#[test]
fn what_is_cut_forged_or_inconsistent_is_broken_and_nothing_else_is() {
    let mut message = Vec::new();
    field(1, b"key", &mut message);
    let with = |body: &[u8]| sealed(&[&message[..], body].concat());
    let of = |record: &[u8]| {
        let mut body = Vec::new();
        field(3, record, &mut body);
        with(&body)
    };
    assert!(matches!(
        parse(&of(&record(0, None, b"data"))),
        Content::Aggregate(_)
    ));
    assert!(matches!(parse(b""), Content::Ordinary));
    assert!(matches!(parse(b"\xF3\x89\x9A\xC1..."), Content::Ordinary));
    let mut forged = of(&record(0, None, b"data"));
    *forged.last_mut().unwrap() ^= 1;
    for (what, data) in [
        ("the magic alone", MAGIC.to_vec()),
        ("no message", sealed(b"")),
        ("a wrong digest", forged),
        ("no records", with(b"")),
        ("a key that is not there", of(&record(1, None, b"data"))),
        ("a hash key that is not there", of(&record(0, Some(0), b""))),
        ("a huge index", of(&record(u64::MAX, None, b"data"))),
        ("no data", of(&[1 << 3, 0])),
        ("no key", of(b"\x1a\x04data")),
        ("data that is a number", of(&[1 << 3, 0, 3 << 3, 1])),
        ("a length beyond the end", of(b"\x08\x00\x1a\x05data")),
        (
            "a length beyond 64 bits",
            with(&[
                0x1A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F,
            ]),
        ),
        (
            "a varint without end",
            with(&[&[0x1A][..], &[0x80; 11]].concat()),
        ),
        ("a group", with(&[3 << 3 | 3])),
        ("field number 0", with(&[2, 0])),
        ("records that are a number", with(&[3 << 3, 1])),
    ] {
        assert!(broken(&data), "{what}");
    }
}

#[test]
fn ten_mebibytes_of_empty_keys_or_records_are_read_in_passing() {
    let keys = sealed(&b"\x0a\x00".repeat(5 << 20));
    assert!(broken(&keys));
    let mut message = b"\x0a\x00".to_vec();
    message.extend(b"\x1a\x04\x08\x00\x1a\x00".repeat(1 << 20));
    let records = sealed(&message);
    let Content::Aggregate(aggregate) = parse(&records) else {
        panic!("it is sound");
    };
    assert_eq!(aggregate.records().count(), 1 << 20);
}

#[test]
fn records_that_name_one_key_have_one_index_and_equal_keys_in_two_places_two() {
    let mut message = Vec::new();
    for key in [b"same", b"same"] {
        field(1, key, &mut message);
    }
    field(2, b"7", &mut message);
    for (key, hash_key) in [(1, Some(0)), (0, None), (1, None)] {
        field(3, &record(key, hash_key, b""), &mut message);
    }
    let data = sealed(&message);
    let Content::Aggregate(aggregate) = parse(&data) else {
        panic!("it is sound");
    };
    let key = |index, text| Key { index, text };
    let found = aggregate.records();
    let found: Vec<_> = found.map(|sub| (sub.partition_key, sub.hash_key)).collect();
    let expected = [
        (key(1, &b"same"[..]), Some(key(0, &b"7"[..]))),
        (key(0, b"same"), None),
        (key(1, b"same"), None),
    ];
    assert_eq!(found, expected);
}

proptest! {
    #[test]
    fn an_aggregate_gives_its_records_back(
        records in prop::collection::vec(
            (
                prop::collection::vec(any::<u8>(), 0..9),
                prop::option::of(prop::collection::vec(any::<u8>(), 0..9)),
                prop::collection::vec(any::<u8>(), 0..200),
            ),
            1..200,
        ),
        keys_last: bool,
    ) {
        let data = aggregate(&records, keys_last);
        let Content::Aggregate(aggregate) = parse(&data) else {
            return Err(TestCaseError::fail("not sound"));
        };
        let found = aggregate.records().map(|record| {
            let hash_key = record.hash_key.map(|key| key.text.to_vec());
            (record.partition_key.text.to_vec(), hash_key, record.data.to_vec())
        });
        prop_assert_eq!(found.collect::<Vec<_>>(), records);
    }

    #[test]
    fn no_message_makes_it_stumble(message in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Content::Aggregate(aggregate) = parse(&sealed(&message)) {
            prop_assert!(aggregate.records().count() > 0);
        }
    }

    #[test]
    fn no_change_of_a_sound_message_makes_it_stumble(
        at: prop::sample::Index,
        byte: u8,
        cut: prop::sample::Index,
    ) {
        let records = vec![(b"key".to_vec(), Some(b"7".to_vec()), b"data".to_vec()); 3];
        let sound = aggregate(&records, false);
        let mut message = sound[MAGIC.len()..sound.len() - MD5_BYTES].to_vec();
        let at = at.index(message.len());
        message[at] = byte;
        message.truncate(cut.index(message.len()) + 1);
        if let Content::Aggregate(aggregate) = parse(&sealed(&message)) {
            prop_assert!(aggregate.records().count() > 0);
        }
    }
}
