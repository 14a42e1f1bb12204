//! Rows of the checkpoint store, as damage or another version may have left them.

use super::formats::FormatRow;
use super::{OpenBatch, SealedObject, format_hash};
use crate::config::FormatSettings;

/// A row of any kind: what is read is used without stumbling, and written again as it was.
pub fn store_rows(bytes: &[u8]) {
    if let Ok(batch) = serde_json::from_slice::<OpenBatch>(bytes) {
        is_written_back(&batch);
        let _ = (batch.final_len(), batch.is_final());
        let head = batch.clone().into_final_head();
        assert!(head.blocks.len() <= batch.blocks.len());
        let extents: usize = batch.blocks.iter().map(|block| block.extents.len()).sum();
        let object = batch.into_object();
        assert_eq!(object.extents.len(), extents, "all extents");
        assert!(object.counts.is_empty() || object.counts.len() == extents);
        let _ = object.target.location();
    }
    if let Ok(object) = serde_json::from_slice::<SealedObject>(bytes) {
        is_written_back(&object);
        let _ = object.target.location();
    }
    if let Ok(row) = serde_json::from_slice::<FormatRow>(bytes) {
        let settings = FormatSettings::from(row);
        let again = FormatSettings::from(FormatRow::from(&settings));
        assert_eq!(again, settings);
        let _ = format_hash(&settings);
    }
}

fn is_written_back<R>(row: &R)
where
    R: PartialEq + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let written = serde_json::to_vec(row).ok();
    let again = written.and_then(|written| serde_json::from_slice::<R>(&written).ok());
    assert_eq!(again.as_ref(), Some(row));
}
