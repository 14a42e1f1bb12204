//! What the config knows of stores: the reader of a destination's table asks the store that its `type` names for the
//! rest, and what was read tells what others ask of a store before it is opened. No store is known here by name: they
//! stand in the [`Registry`](super::Registry) that the reader is given.

use std::any::Any;
use std::fmt::{self, Debug};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::AwsAccess;
use super::path::located;
use super::spans::{SpanMap, StageField};
use super::table::Table;
use super::text::TextOrigin;
use super::written::access;

/// A kind of store, as a config names it.
pub trait StoreKind: Sync {
    /// The word of it as `type` of a destination.
    fn word(&self) -> &'static str;

    /// The keys that [`StoreKind::read`] asks for: in the table of another store they are told to be this one's.
    fn keys(&self) -> &'static [&'static str];

    /// Words of Firehose's that this kind has others for: each as it is written there, and what stands for it here, as the end
    /// of a sentence that it begins. Whoever writes one is told.
    fn translations(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Reads the store's keys of a destination's table. `None`: they have a fault, which is reported.
    fn read(&self, table: &mut StoreTable<'_, '_>) -> Option<StoreSettings>;

    /// The settings of the store that has this name in a state ([`StoreSpec::name`]), though the config may name it no
    /// more; what the name does not say is as in `like`. `None`: the name is of another kind. The error says why the
    /// store cannot be reached.
    fn named(
        &self,
        name: &str,
        like: Option<&StoreSettings>,
    ) -> Option<Result<StoreSettings, String>>;
}

/// What the settings of a store tell of it. Nothing of it asks the store.
pub trait StoreSpec: Any + Debug + Send + Sync {
    /// The store's name in checkpoints: it tells one from another, and stays the same however the config is written.
    /// Settings that may change while objects wait (region, credentials) are not in it, nor what depends on the working
    /// directory. It is a URL, or a word, a colon and
    /// a path of this machine.
    fn name(&self) -> String;

    /// Whether a name that stands in a state, perhaps of an earlier version, is this store's.
    fn has_name(&self, name: &str) -> bool {
        self.name() == name
    }

    /// Where an object is, for people.
    fn location(&self, key: &str) -> String;

    /// Which keys objects can have there.
    fn keys(&self) -> Arc<dyn Keys>;

    /// The folder of this machine that objects go to, where they go to one: it is looked at before the start.
    fn folder(&self) -> Option<&Path> {
        None
    }

    /// Why daemons on several machines cannot share a stream that goes there: so it is unless the store says otherwise.
    /// `None`: they can, since all of them reach it, it prepares uploads that another daemon completes, and it keeps
    /// bodies of checkpoints.
    fn of_one_machine(&self) -> Option<OneMachine> {
        Some(OneMachine {
            message: "this store is of one machine: a stream with `coordination` needs one that all its daemons reach",
            help: "name such a store in the destination, or remove `coordination` from the source",
        })
    }

    /// The store as `DescribeDeliveryStream` names it: `BucketARN`.
    fn arn(&self) -> String;

    /// The region in ARNs, where the settings name one.
    fn region(&self) -> Option<&str> {
        None
    }

    /// How it is reached, where it is a service of AWS', or speaks the protocol of one.
    fn access(&self) -> Option<AwsAccess> {
        None
    }

    /// The ARN or alias of the key that objects are encrypted with in KMS, where they are.
    fn kms_key(&self) -> Option<&str> {
        None
    }
}

/// Why a store is of one machine, in the words of a diagnostic.
#[derive(Clone, Copy, Debug)]
pub struct OneMachine {
    /// What is wrong.
    pub message: &'static str,
    /// What to write.
    pub help: &'static str,
}

/// Which keys a store takes, whoever asks: publishing, sorting of records, `check`.
pub trait Keys: Debug + Send + Sync {
    /// Bytes up to which every key is taken that begins with no dot and has no part that is empty, `.` or `..`. It saves
    /// asking, for each record with a prefix of its own: 0 is always right, and more than 512 saves no more.
    fn short(&self) -> usize;

    /// Whether an object may be given that key. The error says why not, as the end of a sentence.
    fn take(&self, key: &str) -> Result<(), String>;
}

/// The settings of a store. Cheap to clone.
#[derive(Clone)]
pub struct StoreSettings {
    spec: Arc<dyn StoreSpec>,
    is_same: fn(&dyn Any, &dyn Any) -> bool,
}

impl StoreSettings {
    /// Those of a store.
    pub fn new<T: StoreSpec + PartialEq>(spec: T) -> Self {
        Self {
            spec: Arc::new(spec),
            is_same: is_same::<T>,
        }
    }

    /// The settings as the store's own type.
    pub fn get<T: StoreSpec>(&self) -> Option<&T> {
        let spec: &dyn Any = &*self.spec;
        spec.downcast_ref()
    }
}

/// Whether two settings are of one type, and equal.
pub(super) fn is_same<T: PartialEq + 'static>(one: &dyn Any, other: &dyn Any) -> bool {
    let one = one.downcast_ref::<T>();
    one.is_some() && one == other.downcast_ref::<T>()
}

impl Deref for StoreSettings {
    type Target = dyn StoreSpec;

    fn deref(&self) -> &Self::Target {
        &*self.spec
    }
}

impl PartialEq for StoreSettings {
    fn eq(&self, other: &Self) -> bool {
        (self.is_same)(&*self.spec, &*other.spec)
    }
}

impl Eq for StoreSettings {}

impl Debug for StoreSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(formatter)
    }
}

/// A destination's table, for the store that reads its keys there: a [`Table`] that knows where paths begin.
pub struct StoreTable<'t, 'f> {
    pub(super) table: &'t mut Table<'f>,
    pub(super) base: &'t Path,
    pub(super) stream: &'t str,
    pub(super) field: StageField,
    pub(super) spans: &'t mut SpanMap,
}

impl Debug for StoreTable<'_, '_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.table.here())
    }
}

impl<'f> Deref for StoreTable<'_, 'f> {
    type Target = Table<'f>;

    fn deref(&self) -> &Table<'f> {
        self.table
    }
}

impl<'f> DerefMut for StoreTable<'_, 'f> {
    fn deref_mut(&mut self) -> &mut Table<'f> {
        self.table
    }
}

impl StoreTable<'_, '_> {
    /// A string that must hold something and no control characters.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        self.table.name_text(key, access::NAME_MAX)
    }

    /// A path of this machine, which begins at the folder of the config file, and with it may be relative to the working
    /// directory: a name in checkpoints has it absolute. It is the place that later faults of the
    /// store are shown at.
    pub fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        let origin = TextOrigin::at(self.table.place_of(key));
        self.spans.keep_origin(self.stream, self.field, origin);
        located(
            self.table,
            key,
            self.base,
            self.stream,
            self.field,
            self.spans,
        )
    }

    /// How an AWS service, or one that speaks its protocol, is reached: the keys `region`, `endpoint`, `profile`,
    /// `access_key_id`, `secret_access_key` and `secret_access_key_file`.
    pub fn access(&mut self) -> AwsAccess {
        access::read(self.table, self.base)
    }
}
