//! What the config knows of parsers: the reader of `[stream.X.parse]` asks the parser that its `type` names for the
//! rest. No parser is known here by name: they stand in the [`Registry`](super::Registry) that the reader is given.

use std::any::Any;
use std::fmt::{self, Debug};
use std::sync::Arc;

use super::Table;
use super::store::is_same;

/// A kind of parser, as a config names it.
pub trait ParserKind: Debug + Sync {
    /// The word of it as `type` of the table.
    fn word(&self) -> &'static str;

    /// The keys that [`ParserKind::read`] asks for: in the table of a parser without them they are told to be this one's.
    fn keys(&self) -> &'static [&'static str];

    /// Words of Firehose's that this kind has others for: each as it is written there, and what stands for it here, as the end
    /// of a sentence that it begins. Whoever writes one is told.
    fn translations(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Reads the parser's keys of its table. Every fault is reported to the table, and reading goes on, so that one hides
    /// no other; `None`: something that is needed has a fault.
    fn read(&self, table: &mut Table<'_>) -> Option<ParserSettings>;
}

/// What the settings of a parser tell of it.
pub trait ParserSpec: Any + Debug + Send + Sync {
    /// The word of its kind.
    fn word(&self) -> &'static str;
}

/// The settings of a parser: how a source record becomes JSON. Cheap to clone.
#[derive(Clone)]
pub struct ParserSettings {
    spec: Arc<dyn ParserSpec>,
    is_same: fn(&dyn Any, &dyn Any) -> bool,
}

impl ParserSettings {
    /// Those of a parser.
    pub fn new<T: ParserSpec + PartialEq>(spec: T) -> Self {
        Self {
            spec: Arc::new(spec),
            is_same: is_same::<T>,
        }
    }

    /// The word of its kind.
    pub fn word(&self) -> &'static str {
        self.spec.word()
    }

    /// The settings as the parser's own type.
    pub fn get<T: ParserSpec>(&self) -> Option<&T> {
        let spec: &dyn Any = &*self.spec;
        spec.downcast_ref()
    }
}

impl<T: ParserSpec + PartialEq> From<T> for ParserSettings {
    fn from(spec: T) -> Self {
        Self::new(spec)
    }
}

impl PartialEq for ParserSettings {
    fn eq(&self, other: &Self) -> bool {
        let (one, other): (&dyn Any, &dyn Any) = (&*self.spec, &*other.spec);
        (self.is_same)(one, other)
    }
}

impl Eq for ParserSettings {}

impl Debug for ParserSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(formatter)
    }
}
