//! destination: being written.
