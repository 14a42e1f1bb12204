//! Loading again what could not be loaded for a reason that passes.

use super::super::{Loaded, Reload, Transforms};
use super::*;

#[test]
fn what_passes_is_tried_again_by_itself_and_a_fault_of_the_module_is_not() {
    let guest = Guest::new();
    let metrics = Metrics::new().unwrap();
    // Neither a module nor none: it cannot be told what is there.
    let unreadable = guest.path().join("below-a-file.wasm");
    let transforms = Transforms::new(engine(), "clicks", &[settings(&unreadable)], &metrics);
    let tries = || {
        while !matches!(transforms.reload(false), Reload::First) {
            std::thread::yield_now();
        }
        let Loaded::Refused(error) = transforms.loaded().borrow().clone() else {
            panic!("there is nothing to load");
        };
        (error.passes, error.advice())
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
    assert!(!error.passes, "{error}");
    assert!(matches!(transforms.reload(false), Reload::Unchanged));
    assert!(matches!(transforms.reload(true), Reload::First), "as asked");
}
