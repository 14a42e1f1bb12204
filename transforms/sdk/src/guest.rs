//! The module's side of the contract, for [`crate::export!`]: one transform for each instance, one
//! call for each batch.

use std::cell::RefCell;

use crate::pack::{self, Packer};
use crate::{Failure, Outcome, Transform};

pub use crate::bindings;
pub use crate::bindings::{Guest, Inputs, Outcomes, export_bindings};

/// A configured transform, whatever its type: what is looked up once for a batch.
trait Batch {
    fn transform(&mut self, records: &Inputs) -> Outcomes;
}

impl<T: Transform> Batch for T {
    fn transform(&mut self, records: &Inputs) -> Outcomes {
        let mut packer = Packer::of(records);
        for record in pack::records(records) {
            let outcome = Transform::transform(self, record);
            packer.push(outcome.unwrap_or_else(|failure| Outcome::Failed(failure.into_text())));
        }
        packer.finish()
    }
}

thread_local! {
    static TRANSFORM: RefCell<Option<Box<dyn Batch>>> = const { RefCell::new(None) };
}

/// The export `configure`.
pub fn configure<T: Transform>(config: &str) -> Result<(), String> {
    report_panics();
    let transform = configured::<T>(config).map_err(Failure::into_text)?;
    TRANSFORM.set(Some(Box::new(transform)));
    Ok(())
}

/// The export `transform-packed`.
pub fn transform(records: &Inputs) -> Result<Outcomes, String> {
    TRANSFORM.with_borrow_mut(|transform| match transform {
        Some(transform) => Ok(transform.transform(records)),
        None => Err("the module was never configured".to_owned()),
    })
}

/// Reads the `[config]` table and hands it over.
pub(crate) fn configured<T: Transform>(config: &str) -> Result<T, Failure> {
    let config = serde_json::from_str(config).map_err(|error| {
        // The user wrote TOML: a place in the JSON made of it says nothing to them.
        let text = error.to_string();
        text.rsplit_once(" at line ")
            .map_or(text.clone(), |(what, _)| what.to_owned())
    })?;
    T::configure(config)
}

/// Logs a panic before it becomes a trap, which says nothing but `unreachable`.
fn report_panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| {
        let why = panic.payload_as_str().unwrap_or("no text");
        match panic.location() {
            Some(place) => crate::log(crate::Level::Error, &format!("panic at {place}: {why}")),
            None => crate::log(crate::Level::Error, &format!("panic: {why}")),
        }
    }));
}
