//! Components that are small in the file and large when they start.

use std::fmt::Write as _;

use super::*;

/// A component that instantiates a core module so many times. What it exports is never looked at.
fn component(module: &str, instances: usize) -> String {
    let mut text = format!("(component (core module $m {module})");
    for _ in 0..instances {
        let _ = write!(text, "(core instance (instantiate $m))");
    }
    text + ")"
}

/// Why the guest is refused; more than a hundred instances of it may be had.
fn refused(guest: &str) -> String {
    let guest = Guest::of(guest);
    let refused = guest.chain(&[guest.settings()]);
    refused.err().expect("it is refused")
}

#[test]
fn a_component_has_a_hundred_memories_however_it_comes_by_them() {
    // Each reserves 4 GiB of addresses, whether it has a page or not.
    for module in ["(memory 0)", "(memory 0) (func)", "(func)"] {
        let too_many = refused(&component(module, 101));
        // A module with code and without a memory is given one, which serves for asking only.
        assert!(
            too_many.contains("memory count too high"),
            "{module}: {too_many}"
        );
        let enough = refused(&component(module, 100));
        assert!(
            enough.contains("no export `configure`"),
            "{module}: {enough}"
        );
    }
    // In one module without code, too.
    let in_one = refused(&component(&"(memory 0)".repeat(100), 1));
    assert!(in_one.contains("one memory"), "{in_one}");
}

#[test]
fn a_component_has_a_thousand_tables_and_no_more() {
    let table = "(table 0 funcref)";
    let too_many = refused(&component(&table.repeat(50), 21));
    assert!(too_many.contains("table count too high"), "{too_many}");
    let enough = refused(&component(&table.repeat(50), 20));
    assert!(enough.contains("no export `configure`"), "{enough}");
}
