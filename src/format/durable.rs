//! Durable forms of settings. What a checkpoint keeps of a format has types of its own, rows, beside those that the
//! config makes: so each can change without the other, and a row stays byte for byte what it was. Fields and variants
//! of rows are never renamed or put in another order, and one that is added is left out where it says what was so
//! before it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::FormatSettings;

/// The durable form of a part of settings.
pub(super) trait Durable {
    /// The part as the config makes it.
    type Settings;

    /// What is kept of it.
    fn of(settings: &Self::Settings) -> Self;

    /// What that leads back to.
    fn settings(self) -> Self::Settings;
}

/// The text of a row.
pub(super) fn written<R: Durable + Serialize>(settings: &R::Settings) -> String {
    serde_json::to_string(&R::of(settings)).expect("rows are plain data")
}

/// The settings whose row this is. `None`: it is another format's.
pub(super) fn read<R>(row: &str) -> Option<FormatSettings>
where
    R: Durable<Settings: Into<FormatSettings>> + DeserializeOwned,
{
    let row: R = serde_json::from_str(row).ok()?;
    Some(row.settings().into())
}

/// Whether a row leaves the value out, because it says what was so before there was anything to say.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Makes a type a row, by the names that it shares with its settings. Each field of both stands in the list, and each
/// variant: else it does not compile. What the settings have beside the row is named as well; it comes back as its
/// default.
macro_rules! durable {
    ($row:ident $(:: $kind:ident)? of $settings:ident { $($field:ident),* } $(without { $($rest:ident),* })?) => {
        impl $crate::format::durable::Durable for $row {
            type Settings = $settings;

            fn of(settings: &$settings) -> Self {
                let $settings { $($field,)* $($($rest: _,)*)? } = settings;
                $row $(:: $kind)? {
                    $($field: $crate::format::durable::Durable::of($field),)*
                }
            }

            fn settings(self) -> $settings {
                let $row $(:: $kind)? { $($field,)* } = self;
                $settings {
                    $($field: $crate::format::durable::Durable::settings($field),)*
                    $($($rest: Default::default(),)*)?
                }
            }
        }
    };
    ($row:ident of enum $settings:ident { $($variant:ident $(($inner:ident))?),* }) => {
        impl $crate::format::durable::Durable for $row {
            type Settings = $settings;

            fn of(settings: &$settings) -> Self {
                match settings {
                    $($settings::$variant $(($inner))? => {
                        Self::$variant $(($crate::format::durable::Durable::of($inner)))?
                    })*
                }
            }

            fn settings(self) -> $settings {
                match self {
                    $(Self::$variant $(($inner))? => {
                        $settings::$variant $(($crate::format::durable::Durable::settings($inner)))?
                    })*
                }
            }
        }
    };
}

pub(super) use durable;

/// What is kept as it is.
macro_rules! plain {
    ($($kind:ident),*) => {
        $(impl Durable for $kind {
            type Settings = Self;

            fn of(settings: &Self) -> Self {
                Self::clone(settings)
            }

            fn settings(self) -> Self {
                self
            }
        })*
    };
}

plain!(bool, char, i32, u32, u64, String);

impl<R: Durable> Durable for Option<R> {
    type Settings = Option<R::Settings>;

    fn of(settings: &Self::Settings) -> Self {
        settings.as_ref().map(R::of)
    }

    fn settings(self) -> Self::Settings {
        self.map(R::settings)
    }
}

impl<R: Durable> Durable for Vec<R> {
    type Settings = Vec<R::Settings>;

    fn of(settings: &Self::Settings) -> Self {
        settings.iter().map(R::of).collect()
    }

    fn settings(self) -> Self::Settings {
        self.into_iter().map(R::settings).collect()
    }
}

/// By the names of columns.
impl<R: Durable> Durable for BTreeMap<String, R> {
    type Settings = BTreeMap<String, R::Settings>;

    fn of(settings: &Self::Settings) -> Self {
        let kept = |(name, value): (&String, _)| (name.clone(), R::of(value));
        settings.iter().map(kept).collect()
    }

    fn settings(self) -> Self::Settings {
        let back = |(name, value): (String, R)| (name, value.settings());
        self.into_iter().map(back).collect()
    }
}
