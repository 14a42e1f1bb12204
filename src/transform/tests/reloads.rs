//! Loading again what could not be loaded for a reason that passes.

use super::super::{Loaded, Reload, Transforms};
use super::*;

#[test]
fn what_waits_for_a_module_that_was_replaced_is_given_back_whole() {
    let guest = Guest::new();
    let metrics = Metrics::new().unwrap();
    let settings = TransformSettings {
        timeout: Duration::from_mins(1),
        ..guest.settings()
    };
    let transforms = Transforms::new(engine(), "clicks", &[settings.clone(), settings], &metrics);
    assert!(matches!(transforms.reload(false), Reload::First));
    let before = transforms.current();
    assert!(matches!(transforms.reload(true), Reload::Replaced));
    // Two calls; the second has a loop that takes long.
    let mut records = vec!["a"; 300];
    records[290] = "n";
    let chunk = chunk(&records);
    let mut workshop = Workshop::new(before);
    let piece = workshop.work(&chunk, 0..300);
    assert_eq!((piece.end, piece.outputs.len()), (256, 256));
    let piece = workshop.work(&chunk, 256..300);
    assert_eq!((piece.end, piece.outputs.len()), (256, 0));
    assert!(piece.failed.is_empty());
    // The new ones take it up.
    let mut workshop = Workshop::new(transforms.current());
    let pieces = workshop.work(&chunk, 256..300);
    assert_eq!((pieces.end, pieces.outputs.len()), (300, 44));
}

#[test]
fn what_passes_is_tried_again_by_itself_and_a_fault_of_the_module_is_not() {
    let guest = Guest::new();
    let metrics = Metrics::new().unwrap();
    // A path below a regular file: whether a module is there cannot be found out.
    let unreadable = guest.path().join("below-a-file.wasm");
    let transforms = Transforms::new(engine(), "clicks", &[settings(&unreadable)], &metrics);
    let tries = || {
        while !matches!(transforms.reload(false), Reload::First) {
            std::thread::yield_now();
        }
        let Loaded::Refused(error) = transforms.loaded().borrow().clone() else {
            panic!("there is nothing to load");
        };
        (error.passes(), error.advice())
    };
    for _ in 0..3 {
        let (passes, advice) = tries();
        assert!(passes && advice.contains("by itself"), "{advice}");
    }
    let missing = guest.dir.path().join("missing.wasm");
    let transforms = Transforms::new(engine(), "clicks", &[settings(&missing)], &metrics);
    assert!(matches!(transforms.reload(false), Reload::First));
    let Loaded::Refused(error) = transforms.loaded().borrow().clone() else {
        panic!("there is nothing to load");
    };
    assert!(!error.passes(), "{error:?}");
    assert!(matches!(transforms.reload(false), Reload::Unchanged));
    assert!(matches!(transforms.reload(true), Reload::First), "as asked");
}
