//! What a stranger, a bad disk or a bad module tries, against the real daemon; each with a figure.

mod disks;
