//! What holds of all parsers.

use super::*;

const LINES: &str = "type = \"csv\"\ncolumns = [\"n:int\"]";

fn failures(piece: &ParsedPiece) -> Vec<(&[u8], Option<u32>, &str)> {
    let failed = piece.failed.iter();
    let told = failed.map(|failed| {
        let record = failed.record();
        (record.text, &*failed.failure.code)
    });
    let data = piece.failed.iter().map(FailedRecord::data);
    data.zip(told)
        .map(|(data, (text, code))| (data, text, code))
        .collect()
}

#[test]
fn what_comes_out_is_numbered_in_its_record_and_keeps_what_is_known_of_it() {
    let chunk = chunk(&[b"1\n2\n", b"-", b"3"]);
    let piece = parser(LINES).parse(&chunk, 0..3);
    let found: Vec<_> = piece.outputs.iter().collect();
    let told = found.iter().map(|record| {
        let data = std::str::from_utf8(record.data).unwrap();
        (data, record.position, record.output, record.arrival_ms)
    });
    let at = |number| Position::of(Sequence(number));
    let expected = [
        (r#"{"n":1}"#, at(7), Some(0), 5),
        (r#"{"n":2}"#, at(7), Some(1), 5),
        (r#"{"n":3}"#, at(9), Some(0), 5),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let failed = &piece.failed[0];
    assert_eq!(failed.record().position, at(8));
    assert_eq!((piece.failed.len(), piece.end), (1, 3));
}

#[test]
fn a_line_fails_alone_and_a_record_that_is_one_line_as_it_came() {
    let several = parse(&parser(LINES), b"1\n\n-\r\n\xff\n2");
    let expected: [(&[u8], _, _); 2] = [
        (b"-", Some(2), "Parse.Mismatch"),
        (b"\xff", Some(3), "Parse.NotUtf8"),
    ];
    assert_eq!(failures(&several), expected);
    assert_eq!(several.outputs.len(), 2);
    let packed = packed(b"-\n");
    for record in [&b"\n-\r\n"[..], b"", b" \r\n\t", b"\xff", &packed] {
        let piece = parse(&parser(LINES), record);
        let failed = failures(&piece);
        assert_eq!((failed[0].0, failed[0].1), (record, None), "{record:?}");
        assert_eq!((failed.len(), piece.outputs.len()), (1, 0));
    }
    let whole = parse(&parser(&format!("{LINES}\nlines = false")), b"1\n2");
    assert_eq!(failures(&whole)[0].0, b"1\n2");
}

#[test]
fn a_byte_order_mark_is_none_of_the_text_and_part_of_a_record_that_fails() {
    let one = parse(&parser(LINES), b"\xef\xbb\xbf1");
    assert_eq!(told(&one), "{\"n\":1}\n");
    let whole = parse(
        &parser(&format!("{LINES}\nlines = false")),
        b"\xef\xbb\xbf1\n",
    );
    assert_eq!(told(&whole), "{\"n\":1}\n");
    for record in [&b"\xef\xbb\xbf"[..], b"\xef\xbb\xbf\xef\xbb\xbf1"] {
        let failed = parse(&parser(LINES), record);
        assert_eq!(failures(&failed), [(record, None, "Parse.Mismatch")]);
    }
}

#[test]
fn a_record_that_comes_to_too_much_fails_whole_and_the_others_pass() {
    let bomb = packed(&vec![b'a'; BYTES_MAX + 1]);
    let many = b"1\n".repeat(PARTS_MAX + 1);
    let bad = b"-\n".repeat(PARTS_MAX + 1);
    let just = b"1\n".repeat(PARTS_MAX);
    let small = packed(b"1");
    let torn = &small[..small.len() - 1];
    // Some names in each of its records.
    let name = "n".repeat(255);
    let long = format!("type = \"csv\"\ncolumns = [\"{name}\", \"{name:.254}\"]");
    let large = b"1,1\n".repeat(65_000);
    for (keys, record, code) in [
        (LINES, &bomb[..], "Parse.Gzip"),
        (LINES, torn, "Parse.Gzip"),
        (LINES, &many, "Parse.OutputLimit"),
        (LINES, &bad, "Parse.OutputLimit"),
        (&long, &large, "Parse.OutputLimit"),
    ] {
        let parser = parser(keys);
        let good: &[u8] = if keys == long { b"1,1" } else { b"1" };
        let chunk = chunk(&[good, record, good]);
        let (mut outputs, mut failed, mut at) = (0, Vec::new(), 0);
        while at < chunk.len() {
            let piece = parser.parse(&chunk, at..3);
            assert!(piece.end > at && piece.end <= 3);
            at = piece.end;
            outputs += piece.outputs.len();
            let told = failures(&piece).into_iter();
            failed.extend(told.map(|(data, text, code)| (data.to_vec(), text, code.to_owned())));
        }
        assert_eq!(outputs, 2, "{code}");
        assert_eq!(failed, [(record.to_vec(), None, code.to_owned())]);
    }
    assert_eq!(parse(&parser(LINES), &just).outputs.len(), PARTS_MAX);
}

#[test]
fn a_piece_ends_behind_a_whole_record_and_has_one_at_least() {
    let parser = parser(LINES);
    let lines = b"1\n".repeat(PIECE_PARTS / 2 + 1);
    let chunk = chunk(&[&lines, &lines, &lines]);
    assert_eq!(parser.parse(&chunk, 0..3).end, 2);
    assert_eq!(parser.parse(&chunk, 0..1).end, 1);
    assert_eq!(
        parser.parse(&chunk, 2..3).outputs.len(),
        PIECE_PARTS / 2 + 1
    );
}
