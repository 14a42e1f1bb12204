//! A disk in memory that forgets and tears what was not synced.

/// Being written.
#[derive(Debug)]
pub struct TornDisk;
