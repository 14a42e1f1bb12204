//! Damage to the two files of a store: bits of what is used, each sector, lengths.
//!
//! Of redb's header and the marks each byte is flipped, of the pages one in sixty, in one bit drawn at
//! random; all of them by hand: `FIREHOSE_EVERY_BIT=1 cargo test --lib store::damage -- --nocapture`.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::tests::batch;
use super::*;
use crate::checkpoint::{MIRROR, OpenBatch, STORE};
use crate::disk::{OpenMode, TornDisk};

const SECTOR: u64 = 512;
const PAGE: u64 = pair::PAGE;

/// A disk with a store of some checkpoints, and what the newest one holds.
struct Laid {
    disk: TornDisk,
    truth: String,
}

/// What a person would compare.
fn shown(recovered: &StoredState) -> String {
    format!(
        "{:?} {:?} {:?} {}",
        recovered.open, recovered.sealed, recovered.shards, recovered.incarnation
    )
}

fn open(disk: &TornDisk) -> Result<(CheckpointStore, StoredState), StoreError> {
    CheckpointStore::open(disk, Path::new(STORE), 0)
}

/// As a kill leaves it, or a stop.
fn laid(is_stopped: bool) -> Laid {
    let disk = TornDisk::new(0);
    let (store, _) = open(&disk).unwrap();
    let ids: Vec<Uuid> = std::iter::repeat_with(Uuid::new_v4).take(12).collect();
    for round in 0..4 {
        // The transactions differ in each row.
        let open = ids.iter().map(|id| {
            let mut batch = batch(*id);
            batch.records = round;
            batch
        });
        let commit = Commit {
            open: open.collect(),
            closed: Vec::new(),
            ..Commit::default()
        };
        store.commit(&commit).unwrap();
    }
    let truth = shown(&store.read().unwrap());
    if is_stopped {
        drop(store);
    }
    let disk = disk.crash(0);
    Laid { disk, truth }
}

impl Laid {
    fn peek(&self) -> Result<StoredState, StoreError> {
        CheckpointStore::peek(&self.disk, Path::new(STORE))
    }

    /// The newest checkpoint is read; whether damage is told of.
    fn is_survived(&self, what: &str) -> bool {
        let found = self
            .peek()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(shown(&found), self.truth, "{what}");
        !found.damaged.is_empty()
    }

    /// It stops, or has the newest checkpoint all the same; whether it stops.
    fn is_stopped(&self, what: &str) -> bool {
        match self.peek() {
            Ok(found) => assert_eq!(shown(&found), self.truth, "{what}"),
            Err(StoreError::Damaged(_)) => return true,
            Err(error) => panic!("{what}: {error}"),
        }
        false
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let file = self.disk.open(Path::new(name), OpenMode::Existing).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    fn rewrite(&self, name: &str, bytes: &[u8]) {
        let file = self.disk.open(Path::new(name), OpenMode::OrCreate).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file.sync_data().unwrap();
    }

    fn flip(&self, name: &str, offset: u64, flip: u8) {
        self.disk.rot(Path::new(name), offset, flip).unwrap();
    }
}

/// The pages that hold anything.
fn used(bytes: &[u8]) -> Vec<u64> {
    let pages = bytes.chunks(4096).enumerate();
    let used = pages.filter(|(_, page)| page.iter().any(|byte| *byte != 0));
    used.map(|(index, _)| index as u64 * PAGE).collect()
}

/// Whether a place counts byte by byte: redb's header and the marks.
fn is_dense(at: u64) -> bool {
    at < 320 || ((SECTOR * 2..SECTOR * 6).contains(&at) && at % SECTOR < 24)
}

#[test]
fn a_flipped_bit_in_one_copy_costs_nothing() {
    let is_every = std::env::var_os("FIREHOSE_EVERY_BIT").is_some();
    let mut random = fastrand::Rng::with_seed(5);
    for (is_stopped, name) in [
        (false, STORE),
        (false, MIRROR),
        (true, STORE),
        (true, MIRROR),
    ] {
        let laid = laid(is_stopped);
        let (mut flips, mut told) = (0, 0);
        for page in used(&laid.bytes(name)) {
            let mut at = page;
            while at < page + PAGE {
                let bit = random.u8(..8);
                for bit in if is_every { 0..8 } else { bit..bit + 1 } {
                    laid.flip(name, at, 1 << bit);
                    let what = format!("bit {bit} of byte {at} of {name}, {is_stopped}");
                    told += u32::from(laid.is_survived(&what));
                    flips += 1;
                    laid.flip(name, at, 1 << bit);
                }
                at += 1;
                while !is_every && !is_dense(at) && random.u8(..) > 3 {
                    at += 1;
                }
            }
        }
        println!("{name}: {flips} flips survived, {told} of them told of");
        assert!(told > 10, "{told} of {flips}: nothing was told");
    }
}

#[test]
fn a_lost_sector_or_end_or_file_of_one_copy_costs_nothing() {
    for is_stopped in [false, true] {
        let laid = laid(is_stopped);
        for name in [STORE, MIRROR] {
            let bytes = laid.bytes(name);
            let path = PathBuf::from(name);
            let len = bytes.len() as u64;
            let (mut sectors, mut told) = (0, 0);
            for sector in used(&bytes)
                .into_iter()
                .flat_map(|page| (0..PAGE / SECTOR).map(move |sector| page + sector * SECTOR))
            {
                let range = sector..(sector + SECTOR).min(len);
                let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
                let zero = |laid: &Laid| {
                    for (offset, byte) in range.clone().zip(&bytes[start..end]) {
                        laid.flip(name, offset, *byte);
                    }
                };
                zero(&laid);
                told += u32::from(laid.is_survived(&format!("sector {sector} of {name} zeroed")));
                zero(&laid);
                laid.disk.spoil(&path, range.clone()).unwrap();
                laid.is_survived(&format!("sector {sector} of {name} cannot be read"));
                laid.disk.mend();
                sectors += 1;
            }
            let mut cuts = 0;
            let near = (0..len)
                .step_by(16 << 12)
                .flat_map(|at| [at, at + 1, at + 511]);
            for cut in (0..PAGE).step_by(37).chain(near).filter(|cut| *cut < len) {
                let file = laid.disk.open(&path, OpenMode::Existing).unwrap();
                file.set_len(cut).unwrap();
                // What is cut off may have been of no use.
                let is_told = laid.is_survived(&format!("{name} cut to {cut}"));
                assert!(is_told || cut > PAGE, "{cut} untold");
                laid.rewrite(name, &bytes);
                cuts += 1;
            }
            laid.disk.remove(&path).unwrap();
            assert!(laid.is_survived(&format!("{name} is gone")), "untold");
            laid.rewrite(name, &bytes);
            println!("{name}: {sectors} sectors ({told} told of), {cuts} lengths survived");
        }
    }
}

#[test]
fn damage_to_both_copies_is_a_loud_stop_and_never_an_older_checkpoint() {
    let mut random = fastrand::Rng::with_seed(8);
    let (mut stops, mut survived) = (0, 0);
    for is_stopped in [false, true] {
        let laid = laid(is_stopped);
        for (name, other) in [(STORE, MIRROR), (MIRROR, STORE)] {
            let whole = laid.bytes(other);
            let pages = used(&whole);
            let mut damaged: Vec<Vec<u8>> = vec![Vec::new(), vec![0; whole.len()]];
            // A page of each kind; the second has its head, and its marks, too.
            for page in pages.iter().step_by(2) {
                let mut bytes = whole.clone();
                let at = usize::try_from(*page).unwrap();
                bytes[at..at + 300].fill(0xff);
                damaged.push(bytes);
            }
            for bytes in damaged {
                laid.rewrite(other, &bytes);
                for page in used(&laid.bytes(name)) {
                    for _ in 0..2 {
                        let offset = page + random.u64(..PAGE / 4);
                        let flip = 1 << random.u8(..8);
                        laid.flip(name, offset, flip);
                        let what = format!("byte {offset} of {name}, and {other}");
                        if laid.is_stopped(&what) {
                            stops += 1;
                        } else {
                            survived += 1;
                        }
                        laid.flip(name, offset, flip);
                    }
                }
            }
            laid.rewrite(other, &whole);
        }
    }
    println!("both damaged: {stops} loud stops, {survived} with the newest checkpoint");
    assert!(stops > 100, "{stops} stops");
}

#[test]
fn an_opening_mends_what_is_damaged_and_says_so_once() {
    for name in [STORE, MIRROR] {
        let laid = laid(false);
        laid.rewrite(name, b"no database");
        let (store, found) = open(&laid.disk).unwrap();
        assert_eq!(shown(&found), laid.truth);
        assert!(found.damaged[0].starts_with(name), "{:?}", found.damaged);
        drop(store);
        let (_, found) = open(&laid.disk).unwrap();
        assert_eq!(found.damaged, [""; 0]);
    }
}

#[test]
fn damage_under_a_running_store_is_not_committed_anew() {
    let disk = TornDisk::new(0);
    let (store, _) = open(&disk).unwrap();
    // More than the cache holds, so that rows are read back from the file.
    let mut batches: Vec<OpenBatch> = Vec::new();
    for _ in 0..9_000 {
        let mut batch = batch(Uuid::new_v4());
        batch.identity = "x".repeat(1_000);
        batches.push(batch);
    }
    for batches in batches.chunks(1_000) {
        let commit = Commit {
            open: batches.to_vec(),
            ..Commit::default()
        };
        store.commit(&commit).unwrap();
    }
    let file = disk.open(Path::new(STORE), OpenMode::Existing).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    // One letter in each page of rows.
    let rows = bytes.chunks(4096).enumerate().skip(1);
    let rows = rows.filter_map(|(page, bytes)| {
        let at = bytes.windows(9).position(|window| window == b"xxxxxxxxx")?;
        Some((page * 4096 + at) as u64)
    });
    for offset in rows {
        disk.rot(Path::new(STORE), offset, 1).unwrap();
    }
    let commit = Commit {
        open: batches.iter().step_by(7).cloned().collect(),
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
    assert!(
        store.take_mended() > 0,
        "nothing was read from the other copy"
    );
    drop(store);
    let (_, mut found) = open(&disk).unwrap();
    found.open.sort_by_key(|batch| batch.id);
    batches.sort_by_key(|batch| batch.id);
    assert!(found.open == batches, "rows are not what was committed");
}
