//! The lease table against a real server.
