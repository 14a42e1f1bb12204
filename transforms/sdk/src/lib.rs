//! The Rust SDK for transforms of `firehose`: a type that implements [`Transform`] and one line,
//! [`export!`], make a complete module.
//!
//! ```
//! use firehose_transform::{Failure, NoConfig, Outcome, Record, Transform, export};
//!
//! /// Lets records pass in upper case.
//! struct Upper;
//!
//! impl Transform for Upper {
//!     type Config = NoConfig;
//!
//!     fn configure(_: NoConfig) -> Result<Self, Failure> {
//!         Ok(Upper)
//!     }
//!
//!     fn transform(&mut self, mut record: Record) -> Result<Outcome, Failure> {
//!         record.data.make_ascii_uppercase();
//!         Ok(Outcome::ok(record.data))
//!     }
//! }
//!
//! export!(Upper);
//!
//! let mut upper = Upper::configure(NoConfig {}).expect("there is nothing to configure");
//! let outcome = upper.transform(Record::new("ada")).expect("it never fails");
//! assert_eq!(outcome, Outcome::ok("ADA"));
//! ```
//!
//! The same code compiles for the machine at hand, so that `cargo test` needs no WebAssembly: there
//! log lines go to standard error and [`Record::origin`] invents an origin. [`pairs`] runs a
//! transform against a file of inputs and outputs.

#[cfg(any(target_arch = "wasm32", test))]
mod alloc;
#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod guest;
pub mod json;
mod log;
mod outcome;
mod pack;
#[cfg(not(target_arch = "wasm32"))]
pub mod pairs;
mod record;

use std::fmt::Display;

use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use bindings::firehose::transform::host::{Level, Origin};
pub use log::log;
pub use outcome::{Outcome, Output};
pub use record::Record;

/// What a module does.
pub trait Transform: Sized + 'static {
    /// The stream's `[config]` table. `#[serde(deny_unknown_fields)]` finds misspelt keys before a
    /// record does.
    type Config: DeserializeOwned;

    /// Called once for each instance, before any record. A failure keeps the module from being used.
    fn configure(config: Self::Config) -> Result<Self, Failure>;

    /// Called for each record. A failure sends this record to the error prefix, with its original
    /// bytes; its neighbours are untouched.
    fn transform(&mut self, record: Record) -> Result<Outcome, Failure>;
}

/// The [`Transform::Config`] of a transform that has nothing to configure.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Why a record failed, or why a module refuses its configuration. `?` makes one of every error and
/// every text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(String);

// Like `anyhow::Error` it is no error itself: `From<Failure>` would be there twice.
impl<E: Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl Failure {
    /// Its text.
    pub fn into_text(self) -> String {
        self.0
    }
}

/// Makes the type that implements [`Transform`] the module's transform. Once in a crate.
#[macro_export]
macro_rules! export {
    ($transform:ty) => {
        // Natively nothing calls it but tests; the compiler should not take it for dead.
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = {
            let _ = <$transform as $crate::Transform>::configure;
        };

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Module;

            impl $crate::guest::Guest for Module {
                fn configure(config: String) -> Result<(), String> {
                    $crate::guest::configure::<$transform>(&config)
                }

                fn transform_packed(
                    records: $crate::guest::Inputs,
                ) -> Result<$crate::guest::Outcomes, String> {
                    $crate::guest::transform(&records)
                }
            }

    $crate::guest::export_bindings!(Module with_types_in $crate::guest::bindings);
        };
    };
}
