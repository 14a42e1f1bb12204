//! How an object is cut into the parts of an upload: by the number of the part alone, so that parts
//! can leave before anybody knows how large the object will be, and every attempt cuts it alike.

/// Size of the first parts, in bytes. S3 takes no less than 5 MiB, the last part apart.
const FIRST: u64 = 8 << 20;
/// After so many parts of one size, those that follow are twice as large.
const RUN: u32 = 1000;
/// S3's limit on the parts of an upload. The schedule covers 7.8 TiB with them.
const MAX: u32 = 10_000;

/// One part of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// From 1 on.
    pub number: i32,
    /// Where it begins in the object.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

/// All parts of an object of `size` bytes; only the last one may be short. An upload has one at least.
pub(super) fn of(size: u64) -> impl Iterator<Item = Part> {
    schedule()
        .take_while(move |part| part.offset < size.max(1))
        .map(move |part| Part {
            len: part.len.min(size - part.offset),
            ..part
        })
}

/// The parts that lie wholly in the first `size` bytes of an object.
pub(super) fn full(size: u64) -> impl Iterator<Item = Part> {
    schedule().take_while(move |part| part.offset + part.len <= size)
}

fn schedule() -> impl Iterator<Item = Part> {
    let numbers = (1..).zip(0..MAX);
    numbers.scan(0, |end, (number, index)| {
        let (offset, len) = (*end, FIRST << (index / RUN));
        *end += len;
        Some(Part {
            number,
            offset,
            len,
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// S3's largest object, and its bounds on a part.
    const OBJECT_MAX: u64 = 5 << 40;
    const PART_MIN: u64 = 5 << 20;
    const PART_MAX: u64 = 5 << 30;

    proptest! {
        #[test]
        fn an_object_of_any_size_is_cut_whole_and_as_its_head_was(
            size in 1..=OBJECT_MAX,
            head in 0..=OBJECT_MAX,
        ) {
            let parts: Vec<Part> = of(size).collect();
            prop_assert!(parts.len() <= 10_000);
            let mut end = 0;
            for (part, number) in parts.iter().zip(1..) {
                prop_assert_eq!((part.number, part.offset), (number, end));
                prop_assert!(part.len <= PART_MAX);
                end += part.len;
                prop_assert!(part.len >= PART_MIN || end == size);
            }
            prop_assert_eq!(end, size);

            let before: Vec<Part> = full(head.min(size)).collect();
            prop_assert_eq!(&before, &parts[..before.len()]);
            let left = head.min(size) - before.last().map_or(0, |part| part.offset + part.len);
            let next = schedule().nth(before.len());
            prop_assert!(next.is_some_and(|part| left < part.len));
        }
    }

    #[test]
    fn a_head_has_a_part_as_soon_as_it_is_full() {
        assert_eq!(full(FIRST - 1).count(), 0);
        assert_eq!(full(FIRST).count(), 1);
        assert_eq!(of(0).map(|part| part.len).collect::<Vec<_>>(), [0]);
        assert_eq!(of(OBJECT_MAX).map(|part| part.len).sum::<u64>(), OBJECT_MAX);
    }
}
