//! A batch held against the bytes that were appended to it.

use proptest::prelude::*;

use super::*;

fn extent(offset: u64, len: u32) -> Extent {
    Extent {
        file: 0,
        offset,
        len,
        crc64: 0,
    }
}

/// A spool in a vector: enough to hold a batch against what was appended to it.
#[derive(Default)]
struct Bytestore(Vec<u8>);

impl Bytestore {
    fn write(&mut self, bytes: &[u8]) -> Extent {
        let extent = extent(self.0.len() as u64, u32::try_from(bytes.len()).unwrap());
        self.0.extend_from_slice(bytes);
        extent
    }

    fn read(&self, extent: &Extent) -> &[u8] {
        &self.0[usize::try_from(extent.offset).unwrap()..][..extent.len as usize]
    }

    fn spool(&mut self, batch: &mut Batch, moved: &dyn Fn(&Extent) -> bool) {
        for block in &mut batch.blocks {
            if let Some(unspooled) = block.unspooled(moved) {
                let mut bytes: Vec<u8> = unspooled
                    .merge
                    .iter()
                    .flat_map(|extent| self.read(extent).to_vec())
                    .collect();
                bytes.extend_from_slice(&unspooled.bytes);
                let extent = self.write(&bytes);
                block.spooled(unspooled.keep, extent);
            }
        }
    }

    fn whole(&self, batch: &mut Batch) -> Vec<u8> {
        batch.freeze();
        let mut whole = Vec::new();
        for block in &batch.blocks {
            let (head, rest) = block.parts();
            for extent in &head {
                whole.extend_from_slice(self.read(extent));
            }
            whole.extend_from_slice(&rest);
        }
        whole
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(u8, usize),
    Spool,
    Move(u64),
    Shed(bool),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<u8>(), 0..3000_usize).prop_map(|(byte, len)| Step::Append(byte, len)),
        1 => (any::<u8>(), 0..300_000_usize).prop_map(|(byte, len)| Step::Append(byte, len)),
        4 => Just(Step::Spool),
        1 => (0..1_000_000_u64).prop_map(Step::Move),
        1 => any::<bool>().prop_map(Step::Shed),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #[test]
    fn bytes_stay_whole_and_in_order_however_they_are_spooled(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut batch = Batch::open(Uuid::nil(), 0);
        let (mut store, mut written) = (Bytestore::default(), Vec::new());
        for step in steps {
            match step {
                Step::Append(byte, len) => {
                    batch.append(1, len as u64, |block| block.resize(block.len() + len, byte));
                    written.extend(std::iter::repeat_n(byte, len));
                }
                Step::Spool => store.spool(&mut batch, &|_| false),
                Step::Move(offset) => store.spool(&mut batch, &|extent| extent.offset < offset),
                Step::Shed(growing) => batch.shed(growing),
                Step::Restart => {
                    store.spool(&mut batch, &|_| false);
                    let mut restarted = Batch::open(Uuid::nil(), 0);
                    for block in &batch.blocks {
                        restarted.push_spooled(block.encoded, block.extents.clone());
                    }
                    restarted.bytes = batch.bytes;
                    batch = restarted;
                }
            }
            for block in &batch.blocks {
                prop_assert!(block.extents.len() <= 64, "extents pile up");
            }
        }
        prop_assert_eq!(batch.bytes, written.len() as u64);
        prop_assert!(store.whole(&mut batch) == written);
    }
}

#[test]
fn a_run_becomes_final_bytes_and_a_footer_while_records_go_on() {
    let mut batch = Batch::open(Uuid::nil(), 0);
    let mut store = Bytestore::default();
    for byte in 1..=2 {
        batch.append(1, 1, |block| block.resize(BLOCK_BYTES, byte));
    }
    batch.append(1, 1, |block| block.extend_from_slice(b"rest"));
    store.spool(&mut batch, &|_| false);
    let (len, memory) = batch.raw();
    assert_eq!((len, memory), (2 * BLOCK_BYTES as u64, 2 * BLOCK_BYTES));
    let run = batch.take_raw();
    assert!(batch.is_encoding() && batch.raw().0 == 0);
    batch.append(1, 1, |block| block.extend_from_slice(b"more"));
    let (group, footer) = (store.write(b"group"), store.write(b"footer"));
    assert_eq!(
        batch.replace_run(&run, vec![group], vec![footer], 0).len(),
        2
    );
    batch.append(1, 1, |block| block.extend_from_slice(b"end"));
    assert!(!batch.is_encoding() && !batch.is_encoded());
    assert_eq!(store.whole(&mut batch), b"groupfooterrestmoreend");
    let kinds: Vec<_> = batch
        .blocks
        .iter()
        .map(|block| (block.encoded, block.footer))
        .collect();
    assert_eq!(kinds, [(true, false), (false, true), (false, false)]);
    // At the end only what is final is left.
    let last = store.write(b"last");
    assert_eq!(batch.finish(vec![last]).len(), 2);
    assert!(batch.is_encoded());
    assert_eq!(store.whole(&mut batch), b"grouplast");
}

#[test]
fn a_run_of_which_nothing_fitted_leaves_no_block() {
    let mut batch = Batch::open(Uuid::nil(), 0);
    batch.append(1, 1, |block| block.resize(BLOCK_BYTES, 1));
    batch.append(1, 1, |block| block.extend_from_slice(b"rest"));
    let run = batch.take_raw();
    batch.replace_run(&run, Vec::new(), Vec::new(), 0);
    assert_eq!(Bytestore::default().whole(&mut batch), b"rest");
}

#[test]
fn a_replaced_block_gives_back_its_extents() {
    let mut batch = Batch::open(Uuid::nil(), 0);
    let mut store = Bytestore::default();
    let serial = batch
        .append(1, 1, |block| block.resize(BLOCK_BYTES, 1))
        .unwrap();
    store.spool(&mut batch, &|_| false);
    let sum = RawSum { crc32: 7, len: 9 };
    let freed = batch.replace(serial, Bytes::from_static(b"small"), Some(sum), 0);
    assert_eq!(freed.len(), 1);
    assert!(batch.blocks[0].encoded);
    assert_eq!(store.whole(&mut batch), b"small");
}

#[test]
fn an_end_follows_from_all_blocks_and_comes_once() {
    let mut batch = Batch::open(Uuid::nil(), 0);
    let sum = |crc32| RawSum { crc32, len: 1 };
    batch.push_summed(vec![extent(0, 0)], sum(1));
    let serial = batch.append(1, 1, |block| block.resize(BLOCK_BYTES, 1));
    batch.replace(serial.unwrap(), Bytes::from_static(b"two"), Some(sum(2)), 0);
    batch.end(|sums| {
        assert_eq!(sums, [sum(1), sum(2)]);
        b", end".to_vec()
    });
    batch.end(|_| panic!("a second time"));
    assert!(batch.is_encoded());
    assert_eq!(Bytestore::default().whole(&mut batch), b"two, end");
}
