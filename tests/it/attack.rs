//! Attacks rebuilt from what a stranger, a bad disk and a bad module can do. Each prints a figure, so that a
//! change for the worse is seen before it hurts.

mod modules;
