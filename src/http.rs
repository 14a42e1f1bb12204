//! http: being written.
