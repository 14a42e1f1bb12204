//! journal: being written.
