//! A store that does not answer, and room for what goes to the other one.

use super::*;

/// Errors go to a store of their own.
const LARGE_APART: Load = Load {
    apart: true,
    ..LARGE
};
/// Batches of each producer: together they are more than twice what the spool takes.
const BATCHES: u32 = 400;

#[test]
fn a_few_errors_that_wait_for_their_store_do_not_keep_the_room_of_all_data() {
    let lake = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let disk = TornDisk::new(0);
    let apart = lake.path().join("apart");
    std::fs::write(&apart, "no folder").unwrap();
    let living = live(lake.path(), &disk, &ledger, 0, LARGE_APART, BATCHES);
    match runtime().block_on(living) {
        Err(StreamError::LoudStop { cause, .. }) => {
            assert!(cause.contains("cannot be delivered"), "{cause}");
        }
        ended => panic!("errors have nowhere to go: {ended:?}"),
    }
    std::fs::remove_file(&apart).unwrap();
    runtime()
        .block_on(live(lake.path(), &disk, &ledger, 1, LARGE_APART, 1))
        .unwrap();
    judge(lake.path(), &ledger.lock().unwrap(), LARGE_APART, "apart");
}
