//! Numbers of what comes out, where many records that come in are of one source record.

use super::*;
use crate::position::Position;
use crate::record::Record;

/// A parser makes many records of one, which go through in several calls, and some of these one by one.
#[test]
fn what_comes_of_one_record_is_numbered_from_call_to_call_and_from_piece_to_piece() {
    let guest = Guest::new();
    let mut workshop = guest.workshop(&[guest.settings(), guest.settings()]);
    let source = Record::new(b"", 0, Position::of(Sequence(7)));
    let mut parsed = ChunkBuilder::with_room(0, 0);
    for number in 0..700 {
        let data = if number == 300 { "trap" } else { "2x" };
        parsed.push_output(&source, number, data.as_bytes(), Vec::new());
    }
    let parsed = parsed.finish();
    assert!(workshop.call_sizes(&parsed).len() > 1);
    // Pieces of the chunk, and then the next one, which begins anew.
    let pieces = [0..256, 256..301, 301..700, 0..700];
    let pieces = pieces.map(|range| workshop.work(&parsed, range));
    for pieces in [&pieces[..3], &pieces[3..]] {
        let numbers = outputs(pieces).into_iter().map(|(_, number, _)| number);
        assert_eq!(
            numbers.collect::<Vec<_>>(),
            (0..4 * 699).collect::<Vec<_>>()
        );
        let failed: Vec<_> = pieces.iter().flat_map(|piece| &piece.failed).collect();
        assert_eq!((failed.len(), failed[0].record().output), (1, Some(300)));
    }
}
