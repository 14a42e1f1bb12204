//! An object as the destination takes it: its key, its headers, and its bytes in the spool.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::super::outputs::Outputs;
use super::super::quarantine;
use crate::buffer::Buffer;
use crate::checkpoint::SealedObject;
use crate::destination::Publication;
use crate::extent::Extent;
use crate::spool::Spool;

/// A sealed object, or the final head of an open batch, as the destination takes it.
pub(in crate::pipeline) fn publication(
    sealed: &SealedObject,
    outputs: &Outputs,
    spool: &Arc<Spool>,
) -> Publication {
    let format = outputs.format(sealed.target.format);
    Publication {
        object_id: sealed.id,
        key: sealed.target.key.clone(),
        size: sealed.size,
        crc64nvme: sealed.crc64,
        was: sealed.was.clone(),
        content_type: format
            .as_ref()
            .map_or("application/octet-stream", |format| format.content_type()),
        content_encoding: format.as_ref().and_then(|format| format.content_encoding()),
        schema: format.as_ref().and_then(|format| format.schema().cloned()),
        upload_id: sealed.upload_id.clone(),
        parts: None,
        body: Arc::new(SpoolBody {
            spool: Arc::clone(spool),
            extents: sealed.extents.clone(),
        }),
    }
}

/// The spool's bytes of a sealed object, verified as they are read.
#[derive(Debug)]
pub(in crate::pipeline) struct SpoolBody {
    /// Where the bytes are.
    pub spool: Arc<Spool>,
    /// The object's bytes, in order.
    pub extents: Vec<Extent>,
}

impl crate::destination::Body for SpoolBody {
    fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let until = offset + len as u64;
        let (mut start, mut skip) = (0, 0);
        let mut wanted = Vec::new();
        for extent in &self.extents {
            let end = start + u64::from(extent.len);
            if start < until && offset < end {
                // The first extent may begin before what is asked for.
                skip = skip.max(offset.saturating_sub(start));
                wanted.push(*extent);
            }
            start = end;
        }
        let read: usize = wanted.iter().map(|extent| extent.len as usize).sum();
        let mut bytes = Buffer::of_len(read);
        quarantine::twice(|| self.spool.read_all(&wanted, &mut bytes))?.whole()?;
        let from = usize::try_from(skip).unwrap_or(read).min(read);
        Ok(Bytes::from_owner(bytes).slice(from..read.min(from + len)))
    }
}
