//! format: being written.
