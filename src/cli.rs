//! cli: being written.

pub mod put;
