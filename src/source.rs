//! Where records come from: chunks of records with positions, released behind a checkpoint.

pub mod direct_put;
