//! batch: being written.
