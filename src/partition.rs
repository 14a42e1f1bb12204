//! partition: being written.
