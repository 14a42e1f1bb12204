//! What the integration tests share.

pub mod daemon;
pub mod http;
