//! Attacks rebuilt from what a stranger, a bad disk and a bad module can do. Each prints a figure, so that a
//! change for the worse is seen before it hurts.

pub mod alarms;
mod bodies;
mod browsers;
mod clients;
mod disks;
mod exports;
mod fairness;
mod keys;
mod modules;
mod queries;
mod spools;
mod verbs;
