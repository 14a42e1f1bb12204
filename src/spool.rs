//! spool: being written.
