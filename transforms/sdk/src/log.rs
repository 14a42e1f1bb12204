//! Lines in the daemon's log.

use crate::Level;

/// Writes a line to the daemon's log; [`error!`](crate::error!), [`warn!`](crate::warn!),
/// [`info!`](crate::info!) and [`debug!`](crate::debug!) format it too. In a native test it goes to
/// standard error.
pub fn log(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::firehose::transform::host::log(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?}: {message}");
}

/// Logs a line about something that must not be.
#[macro_export]
macro_rules! error {
    ($($text:tt)*) => { $crate::log($crate::Level::Error, &format!($($text)*)) };
}

/// Logs a line about something that somebody should look at.
#[macro_export]
macro_rules! warn {
    ($($text:tt)*) => { $crate::log($crate::Level::Warn, &format!($($text)*)) };
}

/// Logs a line about what goes on.
#[macro_export]
macro_rules! info {
    ($($text:tt)*) => { $crate::log($crate::Level::Info, &format!($($text)*)) };
}

/// Logs a line for the author of the transform.
#[macro_export]
macro_rules! debug {
    ($($text:tt)*) => { $crate::log($crate::Level::Debug, &format!($($text)*)) };
}
