//! nesting: being written.
