//! When a batch has its size. How large its object will be is known of the bytes that are final; of those that are staged
//! it is estimated by what came of earlier ones.

use std::collections::HashMap;

use crate::batch::Batch;
use crate::checkpoint::Lane;
use crate::config::{BufferingSettings, SizeOf};

/// Where `size` is that of the object, the batch is full with records of so many times as many bytes…
const RAW_TIMES: u64 = 16;
/// …and with records of so many bytes in any case, unless `size` is more.
const RAW_MAX: u64 = 5 << 30;
/// Whenever so many bytes count, their part is halved: what was encoded lately counts most.
const RECENT: u64 = 256 << 20;

/// How many final bytes were made, and of how many staged ones.
#[derive(Clone, Copy, Debug, Default)]
struct Yield {
    made: u64,
    of: u64,
}

impl Yield {
    fn learn(&mut self, made: u64, of: u64) {
        if self.of >= RECENT {
            (self.made, self.of) = (self.made / 2, self.of / 2);
        }
        self.made = self.made.saturating_add(made);
        self.of = self.of.saturating_add(of);
    }

    /// How many final bytes will be made of `staged` ones, by this ratio. Never more than they are now: only small pieces
    /// grow by encoding, and these bytes will be encoded in larger ones.
    fn of(self, staged: u64) -> Option<u64> {
        let made = u128::from(staged) * u128::from(self.made.min(self.of));
        u64::try_from(made.checked_div(u128::from(self.of))?).ok()
    }
}

/// What encoding has made of the batches of each lane. All batches of a lane have one format, though schemas may differ.
#[derive(Debug, Default)]
pub(super) struct Yields(HashMap<Lane, Yield>);

impl Yields {
    /// `made` final bytes have come of `of` staged ones.
    pub(super) fn learn(&mut self, lane: Lane, made: u64, of: u64) {
        if of > 0 {
            self.0.entry(lane).or_default().learn(made, of);
        }
    }

    /// Whether a batch has its size.
    pub(super) fn is_full(&self, buffering: &BufferingSettings, lane: Lane, batch: &Batch) -> bool {
        let size = buffering.size;
        match buffering.size_of {
            SizeOf::Records => batch.bytes >= size,
            SizeOf::Object => {
                let most = size.saturating_mul(RAW_TIMES).min(RAW_MAX).max(size);
                batch.bytes >= most || self.object(lane, batch) >= size
            }
        }
    }

    /// The bytes that the object of a batch will have, by what is known.
    fn object(&self, lane: Lane, batch: &Batch) -> u64 {
        let (last, staged) = batch.lens();
        let own = Yield {
            made: last,
            of: batch.encoded_from,
        };
        let rest = own.of(staged);
        let rest = rest.or_else(|| self.0.get(&lane)?.of(staged));
        last.saturating_add(rest.unwrap_or(staged))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::failure::ErrorOutputType;

    const FAILED: Lane = Lane::Error(ErrorOutputType::DestinationFailed);

    fn of_object(size: u64) -> BufferingSettings {
        BufferingSettings {
            size_of: SizeOf::Object,
            ..BufferingSettings::new(size, Duration::from_mins(5))
        }
    }

    fn append(batch: &mut Batch, bytes: usize) {
        batch.append(1, bytes as u64, |block| {
            block.resize(block.len() + bytes, b'x');
        });
    }

    /// Encodes what is staged to one part in so many.
    fn encode(batch: &mut Batch, part: usize) -> (u64, u64) {
        batch.freeze();
        let (made, staged) = batch.lens();
        for serial in batch.take_raw() {
            let block = batch.blocks.iter().find(|block| block.serial == serial);
            let len = usize::try_from(block.unwrap().len()).unwrap();
            batch.replace(serial, Bytes::from(vec![b'y'; len / part]), None, 0);
        }
        batch.encoded_from += staged;
        (batch.lens().0 - made, staged)
    }

    #[test]
    fn without_anything_known_staged_bytes_count_as_they_are_and_then_by_what_became_of_others() {
        let (mut yields, mut batch) = (Yields::default(), Batch::open(Uuid::nil(), 0));
        append(&mut batch, 1_000);
        assert_eq!(yields.object(Lane::Data, &batch), 1_000);
        yields.learn(Lane::Data, 300, 1_200);
        yields.learn(Lane::Backup, 1, 1_000);
        assert_eq!(
            yields.object(Lane::Data, &batch),
            250,
            "by others of its lane"
        );
        assert_eq!(yields.object(FAILED, &batch), 1_000);
        encode(&mut batch, 10);
        assert_eq!(
            yields.object(Lane::Data, &batch),
            100,
            "what is final is known"
        );
        append(&mut batch, 500);
        assert_eq!(
            yields.object(Lane::Data, &batch),
            150,
            "and tells of the rest"
        );
        yields.learn(Lane::Data, 1 << 40, 1);
        let fresh = {
            let mut batch = Batch::open(Uuid::nil(), 0);
            append(&mut batch, 1_000);
            batch
        };
        assert_eq!(
            yields.object(Lane::Data, &fresh),
            1_000,
            "at most as they are"
        );
    }

    #[test]
    fn what_compresses_without_end_is_full_all_the_same() {
        for (size, most) in [(1 << 10, 16 << 10), (1 << 30, 5 << 30), (5 << 30, 5 << 30)] {
            let mut batch = Batch::open(Uuid::nil(), 0);
            let mut yields = Yields::default();
            yields.learn(Lane::Data, 0, 1 << 20);
            batch.bytes = most - 1;
            assert!(
                !yields.is_full(&of_object(size), Lane::Data, &batch),
                "{size}"
            );
            batch.bytes = most;
            assert!(
                yields.is_full(&of_object(size), Lane::Data, &batch),
                "{size}"
            );
        }
    }

    proptest! {
        #[test]
        fn an_object_has_its_size_but_for_what_one_step_adds(
            part in 1_usize..30,
            size in 1_000_u64..50_000,
            steps in vec((1_usize..500, any::<bool>()), 1..500),
        ) {
            let (mut yields, mut batch) = (Yields::default(), Batch::open(Uuid::nil(), 0));
            let buffering = of_object(size);
            // Known from one before.
            yields.learn(Lane::Data, 1_000, u64::try_from(1_000 * part).unwrap());
            for (bytes, encodes) in steps {
                append(&mut batch, bytes);
                if encodes {
                    let (made, of) = encode(&mut batch, part);
                    yields.learn(Lane::Data, made, of);
                }
                if yields.is_full(&buffering, Lane::Data, &batch) {
                    let (made, _) = encode(&mut batch, part);
                    prop_assert!(made <= batch.lens().0);
                    let object = batch.lens().0;
                    // Each piece is rounded down.
                    let pieces = u64::try_from(batch.blocks.len()).unwrap();
                    prop_assert!(object <= size + 500, "{object} of {size}");
                    prop_assert!(object + 2 * pieces + 1 >= size || batch.bytes >= 16 * size, "{object} of {size}");
                    return Ok(());
                }
            }
            prop_assert!(batch.bytes <= 16 * size);
        }
    }
}
