//! Attacks on what the project promises, each with a figure in the output.

mod alarms;
mod keys;
