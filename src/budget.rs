//! budget: being written.
