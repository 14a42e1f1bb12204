//! Mending: a sealed object of which the disk has damaged bytes goes on without them.
//!
//! What is damaged is set aside, and of the rest an object is made under the same id and key. The next
//! checkpoint names it so, and it is sent then: how it differs is said in `src/protocol.rs`.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::Pipeline;
use super::event::{Event, Mended};
use super::filling::STAYS_BEHIND;
use super::quarantine::{self, Damaged, ENCODED, ReadBack, set_aside};
use crate::checkpoint::SealedObject;
use crate::destination::PublishError;
use crate::error::StreamError;
use crate::extent::{Extent, sum};
use crate::failpoint;
use crate::format::{Footer, Format, Shape};
use crate::protocol::without;
use crate::raw_sum::RawSum;
use crate::spool::Spool;

/// Looks for what is damaged of an object, sets it aside, durably, and makes an object of the rest. What
/// that adds to the spool is durable with the checkpoint that names it. Fails with `InvalidData` where it
/// cannot be set aside. Repeatable.
fn mend(object: &SealedObject, format: &Format, spool: &Spool) -> io::Result<Mended> {
    let mut mending = Mending {
        object,
        format,
        spool,
        damaged: Vec::new(),
    };
    let causes = mending.look()?;
    if causes.is_empty() {
        // What was found is not there any more.
        let is_whole = sum(&object.extents) == (object.size, object.crc64);
        let odd = || io::Error::new(io::ErrorKind::InvalidData, "its extents are not the object");
        return is_whole
            .then(|| mending.into_mended(object.extents.clone(), object.counts.clone()))
            .ok_or_else(odd);
    }
    let is_blocks = format.shape() == Shape::Blocks && object.counts.len() == object.extents.len();
    let (extents, counts) = if is_blocks {
        mending.without_blocks(causes)?
    } else {
        match mending.footer(&causes)? {
            Some(footer) => mending.without_parts(&*footer, &causes)?,
            None => mending.without_all(causes)?,
        }
    };
    Ok(mending.into_mended(extents, counts))
}

/// The object's extents and the records in each.
type Kept = (Vec<Extent>, Vec<u64>);
/// A damaged extent, by its number, and what was found.
type Causes = Vec<(usize, io::Error)>;

struct Mending<'a> {
    object: &'a SealedObject,
    format: &'a Format,
    spool: &'a Spool,
    damaged: Vec<Damaged>,
}

impl Mending<'_> {
    /// Reads all, one extent after the other.
    fn look(&self) -> io::Result<Causes> {
        let mut causes = Vec::new();
        for (at, extent) in self.object.extents.iter().enumerate() {
            let read = quarantine::twice(|| self.spool.read(*extent))?;
            if let ReadBack::Damaged(cause) = read {
                causes.push((at, cause));
            }
        }
        Ok(causes)
    }

    fn into_mended(self, extents: Vec<Extent>, counts: Vec<u64>) -> Mended {
        let gone: u64 = self.damaged.iter().map(|one| one.records).sum();
        let before = self.object;
        let is_other = before.extents != extents;
        let records = before.records.saturating_sub(gone);
        Mended {
            object: without(before, extents, counts, records),
            is_other,
            damaged: self.damaged,
        }
    }

    fn set_aside(
        &mut self,
        records: (u64, bool),
        extents: &[Extent],
        cause: io::Error,
    ) -> io::Result<()> {
        let id = self.object.id;
        let aside = set_aside(id, ENCODED, records, extents, &[], cause, self.spool)?;
        self.damaged.push(aside);
        Ok(())
    }

    /// Nothing can be made of it.
    fn without_all(&mut self, causes: Causes) -> io::Result<Kept> {
        if let Some((_, cause)) = causes.into_iter().next() {
            let object = self.object;
            self.set_aside((object.records, false), &object.extents, cause)?;
        }
        Ok(Kept::default())
    }

    /// Each block was encoded by itself: those that are damaged are left out, and the end is made anew.
    fn without_blocks(&mut self, causes: Causes) -> io::Result<Kept> {
        let SealedObject {
            extents, counts, ..
        } = self.object;
        let has_end = !self.format.end(&[RawSum::default()]).is_empty();
        let blocks = extents.len() - usize::from(has_end);
        let damaged: BTreeSet<usize> = causes.iter().map(|(at, _)| *at).collect();
        for (at, cause) in causes {
            if at < blocks {
                self.set_aside((counts[at], false), &extents[at..=at], cause)?;
            }
        }
        let kept: Vec<usize> = (0..blocks).filter(|at| !damaged.contains(at)).collect();
        let (mut left, mut sums) = (Kept::default(), Vec::new());
        if !kept.iter().any(|at| counts[*at] > 0) {
            return Ok(left);
        }
        let head = self.format.head();
        if kept.first() != Some(&0) && !head.is_empty() {
            self.append(&mut left, &[head])?;
        }
        for at in kept {
            let bytes = self.spool.read(extents[at])?;
            sums.extend(self.format.block_sum(at == 0, &bytes)?);
            left.0.push(extents[at]);
            left.1.push(counts[at]);
        }
        let end = self.format.end(&sums);
        if has_end {
            self.append(&mut left, &[&end])?;
        }
        Ok(left)
    }

    fn append(&self, left: &mut Kept, pieces: &[&[u8]]) -> io::Result<()> {
        left.0.extend(self.spool.append(pieces)?);
        left.1.resize(left.0.len(), 0);
        Ok(())
    }

    /// The footer of an object of runs. `None`: it is of another format, or its footer is damaged, and
    /// nothing else describes it.
    fn footer(&self, causes: &Causes) -> io::Result<Option<Box<dyn Footer>>> {
        if self.format.shape() != Shape::Runs {
            return Ok(None);
        }
        let damaged: BTreeSet<usize> = causes.iter().map(|(at, _)| *at).collect();
        let mut tail = Bytes::new();
        let size = self.object.size;
        let parse = |tail: &Bytes, whole| match self.format.footer(tail, size, whole) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            read => read,
        };
        for (at, extent) in self.object.extents.iter().enumerate().rev() {
            if damaged.contains(&at) {
                break;
            }
            tail = [&*self.spool.read(*extent)?, &*tail].concat().into();
            if let Some(footer) = parse(&tail, true)? {
                return Ok(Some(footer));
            }
        }
        // What helps readers and can be missed may lie before the damage.
        parse(&tail, false)
    }

    /// A hole stands for what is damaged of an object of runs, so that all else stays where it is;
    /// the footer no longer names the parts that lay there.
    fn without_parts(&mut self, footer: &dyn Footer, causes: &Causes) -> io::Result<Kept> {
        let parts = footer.parts();
        let mut end = 0;
        let places: Vec<(Extent, Range<u64>)> = (self.object.extents.iter())
            .map(|extent| {
                let start = end;
                end += u64::from(extent.len);
                (*extent, start..end)
            })
            .collect();
        let meet = |a: &Range<u64>, b: &Range<u64>| a.start < b.end && b.start < a.end;
        let holes: BTreeSet<usize> = causes.iter().map(|(at, _)| *at).collect();
        let is_gone = |bytes: &Range<u64>| holes.iter().any(|at| meet(&places[*at].1, bytes));
        let gone: Vec<bool> = parts.iter().map(|(bytes, _)| is_gone(bytes)).collect();
        // A record is one row, unless it holds several objects.
        let is_about = parts.iter().map(|(_, rows)| rows).sum::<u64>() != self.object.records;
        for ((bytes, rows), _) in parts.iter().zip(&gone).filter(|(_, gone)| **gone) {
            let of_part = places.iter().filter(|(_, place)| meet(place, bytes));
            let extents: Vec<Extent> = of_part.map(|(extent, _)| *extent).collect();
            let cause = causes.iter().find(|(at, _)| meet(&places[*at].1, bytes));
            let cause = cause.map_or_else(String::new, |(_, cause)| cause.to_string());
            let cause = io::Error::new(io::ErrorKind::InvalidData, cause);
            self.set_aside((*rows, is_about), &extents, cause)?;
        }
        if gone.iter().all(|gone| *gone) {
            return Ok(Kept::default());
        }
        let data_end = parts
            .iter()
            .map(|(bytes, _)| bytes.end)
            .max()
            .unwrap_or_default();
        let (mut left, mut offset) = (Kept::default(), 0);
        for (at, (extent, place)) in places.iter().enumerate() {
            if place.start >= data_end {
                break;
            }
            offset = place.end;
            if holes.contains(&at) {
                let mut hole = vec![0; extent.len as usize];
                let head = self.format.head();
                if let Some(start) = hole.get_mut(..head.len()).filter(|_| at == 0) {
                    start.copy_from_slice(head);
                }
                self.append(&mut left, &[&hole])?;
            } else {
                left.0.push(*extent);
            }
        }
        let mut bytes = Vec::new();
        footer.write(&|number| !gone[number], offset, &mut bytes)?;
        self.append(&mut left, &[&bytes])?;
        Ok((left.0, Vec::new()))
    }
}

/// An end or a footer is known from the rest.
const MADE_ANEW: &str =
    "damaged bytes of an object that hold no records were made anew: see to the disk";

impl Pipeline {
    /// Has an object mended that nobody publishes just now.
    pub(super) fn mend(&mut self, object: SealedObject) {
        let Some(format) = self.outputs.format(object.target.format) else {
            return;
        };
        self.waiting.begun();
        let spool = Arc::clone(&self.spool);
        let (destination, events) = (
            self.destinations.get(&object.target.store).cloned(),
            self.events.clone(),
        );
        let (id, key, upload_id) = (
            object.id,
            object.target.key.clone(),
            object.upload_id.clone(),
        );
        let job = self
            .context
            .workers
            .run(move || mend(&object, &format, &spool));
        tokio::spawn(async move {
            let panicked = |_| Err(io::Error::other("the job panicked"));
            let mended = job.await.unwrap_or_else(panicked);
            if let (Ok(mended), Some(upload_id), Some(destination)) =
                (&mended, upload_id, destination)
                && mended.object.upload_id.is_none()
                && let Err(error) = destination.abort_upload(&key, &upload_id).await
            {
                tracing::warn!(key, upload_id, %error, "{STAYS_BEHIND}");
            }
            let _ = events.send(Event::Mended(id, Box::new(mended)));
        });
    }

    /// Takes over what an object is without its damaged bytes; it is sent when a checkpoint names it.
    pub(super) fn apply_mended(
        &mut self,
        id: Uuid,
        mended: io::Result<Mended>,
    ) -> Result<(), StreamError> {
        self.waiting.landed();
        let Mended {
            object,
            is_other,
            damaged,
        } = match mended {
            Ok(mended) => mended,
            Err(cause) if cause.kind() == io::ErrorKind::InvalidData => {
                return self.set_back(id, stuck(&cause));
            }
            Err(error) => return Err(self.disk_error("mend an object", error)),
        };
        let location = object.target.location();
        if damaged.is_empty() && is_other {
            let stream = &self.settings.name;
            tracing::warn!(stream, object = location, "{MADE_ANEW}");
        }
        self.note_damaged(Some(&location), &damaged);
        failpoint::hit("mended");
        self.protocol.mended(object)
    }
}

/// It stays where it is, and a person must look.
fn stuck(cause: &io::Error) -> PublishError {
    PublishError::Permanent {
        cause: format!("the spooled bytes are damaged, and cannot be set aside: {cause}"),
        advice: "see to the disk of `state_dir`, and to what has gathered in the stream's `quarantine`; \
                 `firehose state discard STREAM --object KEY` moves what is left of the object aside"
            .into(),
    }
}

#[cfg(test)]
mod tests;
