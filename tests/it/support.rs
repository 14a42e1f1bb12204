//! What the integration tests share.

pub mod book;
pub mod browser;
pub mod campaign;
pub mod command;
pub mod daemon;
pub mod dynamodb;
pub mod event;
pub mod fetched;
pub mod http;
pub mod kinesis;
pub mod kinesis_local;
pub mod lake;
pub mod markdown;
pub mod needs;
pub mod node;
pub mod oracle;
pub mod process;
pub mod producer;
pub mod proxy;
pub mod python;
pub mod reader;
pub mod script;
pub mod servers;
pub mod settings;
pub mod small_disk;
pub mod supervised;
