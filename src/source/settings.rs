//! A configured source as the settings of a stream hold it.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::Source;
use crate::config::CoordinationSettings;

/// A source of whichever kind. Cheap to clone.
#[derive(Clone)]
pub struct SourceSettings(Arc<dyn Source>);

impl SourceSettings {
    /// The settings themselves, where they are of type `T`: for the source's own folder.
    pub fn downcast<T: Source>(&self) -> Option<&T> {
        (self.0.as_ref() as &dyn Any).downcast_ref()
    }

    /// Whether several daemons share the stream.
    pub fn is_shared(&self) -> bool {
        self.0.shared().is_some()
    }

    /// How several daemons share the stream, if they do.
    pub fn coordination(&self) -> Option<&CoordinationSettings> {
        Some(self.0.shared()?.coordination())
    }
}

impl<T: Source> From<T> for SourceSettings {
    fn from(source: T) -> Self {
        Self(Arc::new(source))
    }
}

impl Deref for SourceSettings {
    type Target = dyn Source;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref()
    }
}

impl fmt::Debug for SourceSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl PartialEq for SourceSettings {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_same(other.0.as_ref())
    }
}

impl Eq for SourceSettings {}

/// Whether `other` is of the same type, and equal.
pub fn is_same<T: Source + PartialEq>(one: &T, other: &dyn Source) -> bool {
    (other as &dyn Any).downcast_ref() == Some(one)
}
