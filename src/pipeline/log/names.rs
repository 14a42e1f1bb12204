//! What checkpoints of a log can name.

/// What checkpoints of a log can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum Names {
    /// Batches that still grow, by their bytes in this machine's spool.
    OpenBatches,
    /// Objects alone, all bytes of which are at the destination. A frontier is in a checkpoint only where nothing is
    /// open (C9).
    Objects,
}

impl Names {
    /// Whether the spool holds what is nowhere else.
    pub(in crate::pipeline) const fn need_the_spool(self) -> bool {
        matches!(self, Self::OpenBatches)
    }
}
