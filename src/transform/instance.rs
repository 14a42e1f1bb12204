//! One instance of a module: its store, and a call.

use wasmtime::Store;
use wasmtime::component::Func;

use super::abi::{
    CONFIGURE, ConfigureParams, ConfigureResult, Input, Outcome, PackedParams, PackedResult,
    TransformParams, TransformResult,
};
use super::component::World;
use super::fault::{Broken, Cause};
use super::host::Host;
use super::module::Module;
use super::packed::{self, Packer};
use crate::record::Record;

/// Bytes that the host takes for an outcome beside what it holds, about: not to be reckoned against
/// the guest's `output`.
const OUTCOME_BYTES: usize = 128;

/// A running module.
pub(super) struct Instance {
    store: Store<Host>,
    transform: Transform,
}

/// The export that takes records, in one of its forms.
enum Transform {
    Plain(Func),
    Packed(Func, Packer),
}

/// An instance that has not seen its config yet.
pub(super) struct UnconfiguredInstance {
    store: Store<Host>,
    configure: Func,
    transform: Transform,
}

/// Why a call gave no outcomes.
#[derive(Debug)]
pub(super) enum CallError {
    /// The module says that it failed; the instance lives.
    Refused(String),
    /// The instance is lost.
    Broken(Broken),
    /// It was not made to its end: other modules have taken the place of this one.
    Replaced,
}

/// How a call has ended that gives no outcomes.
enum CallEnd {
    /// The module has returned.
    Returned(CallError),
    /// It has not: it was interrupted, or did what it may not.
    Trapped(wasmtime::Error),
}

impl From<CallError> for CallEnd {
    fn from(error: CallError) -> Self {
        Self::Returned(error)
    }
}

impl From<wasmtime::Error> for CallEnd {
    fn from(error: wasmtime::Error) -> Self {
        Self::Trapped(error)
    }
}

impl UnconfiguredInstance {
    /// Starts an instance whose exports are as the contract has them. Bounded in time and memory as
    /// any call is, and `configure` after it within the same bounds.
    pub(super) fn start(module: &Module) -> Result<Self, Broken> {
        let (pre, loops) = module
            .pre()
            .ok_or_else(|| Broken::new(Cause::Start, "the module is not compiled"))?;
        let mut store = Store::new(module.engine(), module.host(loops));
        store.limiter(|host| host);
        store.data_mut().allow(module.timeout());
        store.set_hostcall_fuel(module.output_limit());
        let instance = pre
            .instantiate(&mut store)
            .map_err(|error| not_started(&error, None))?;
        let func = |store: &mut Store<Host>, name: &str| {
            instance.get_func(store, name).ok_or_else(|| {
                Broken::new(Cause::Start, format!("the module has no export `{name}`"))
            })
        };
        let world = module.about().world;
        let configure = func(&mut store, CONFIGURE)?;
        let transform = Transform::of(world, func(&mut store, world.name())?);
        let mismatch = |name: &str, error: &wasmtime::Error| {
            Broken::new(
                Cause::Start,
                format!("the export `{name}` is not as the contract has it: {error:#}"),
            )
        };
        transform
            .check(&store)
            .map_err(|error| mismatch(world.name(), &error))?;
        configure
            .typed::<ConfigureParams<'_>, ConfigureResult>(&store)
            .map_err(|error| mismatch(CONFIGURE, &error))?;
        Ok(Self {
            store,
            configure,
            transform,
        })
    }

    fn configure(self, config: &str) -> Result<Instance, Broken> {
        let Self {
            mut store,
            configure,
            transform,
        } = self;
        let called = configure
            .typed::<ConfigureParams<'_>, ConfigureResult>(&store)
            .and_then(|configure| configure.call(&mut store, (config,)));
        match called {
            Ok((Ok(()),)) => Ok(Instance { store, transform }),
            Ok((Err(message),)) => Err(Broken::new(Cause::Start, format!("configure: {message}"))),
            Err(error) => {
                let said = store.data_mut().said();
                Err(not_started(&error, said))
            }
        }
    }
}

fn not_started(error: &wasmtime::Error, said: Option<String>) -> Broken {
    let broken = Broken::read(error, said);
    // What went wrong counts more than when.
    let cause = match broken.cause {
        Cause::Trap | Cause::Result => Cause::Start,
        other => other,
    };
    Broken {
        cause,
        message: format!("configure: {}", broken.message),
        gave_up: broken.gave_up,
    }
}

impl Transform {
    fn of(world: World, export: Func) -> Self {
        match world {
            World::Plain => Self::Plain(export),
            World::Packed => Self::Packed(export, Packer::default()),
        }
    }

    fn check(&self, store: &Store<Host>) -> wasmtime::Result<()> {
        match self {
            Self::Plain(export) => export
                .typed::<TransformParams<'_>, TransformResult>(store)
                .map(drop),
            Self::Packed(export, _) => export
                .typed::<PackedParams<'_>, PackedResult>(store)
                .map(drop),
        }
    }

    /// Calls it: one outcome for each record, of no more than `limit` bytes together.
    fn call(
        &mut self,
        store: &mut Store<Host>,
        records: &[Record<'_>],
        limit: usize,
    ) -> Result<Vec<Outcome>, CallEnd> {
        let outcomes = match self {
            Self::Plain(export) => {
                let inputs = records.iter().map(Input::of);
                let inputs: Vec<Input<'_>> = inputs.collect();
                let export = export.typed::<TransformParams<'_>, TransformResult>(&*store)?;
                match export.call(store, (&inputs,))?.0 {
                    Ok(outcomes) if outcomes.len() == records.len() => Ok(outcomes),
                    Ok(outcomes) => Err(Broken::wrong_count(outcomes.len(), records.len())),
                    Err(message) => return Err(CallError::Refused(message).into()),
                }
            }
            Self::Packed(export, packer) => {
                let inputs = packer.pack(records);
                let export = export.typed::<PackedParams<'_>, PackedResult>(&*store)?;
                match export.call(store, (inputs,))?.0 {
                    Ok(outcomes) => packed::unpack(outcomes, records.len(), limit),
                    Err(message) => return Err(CallError::Refused(message).into()),
                }
            }
        };
        outcomes.map_err(|broken| CallError::Broken(broken).into())
    }
}

impl Instance {
    /// Starts an instance and gives it the config.
    pub(super) fn start(module: &Module) -> Result<Self, Broken> {
        UnconfiguredInstance::start(module)?.configure(module.config())
    }

    /// Calls the module with some records: one outcome each, in their order.
    pub(super) fn call(
        &mut self,
        module: &Module,
        records: &[Record<'_>],
    ) -> Result<Vec<Outcome>, CallError> {
        let store = &mut self.store;
        store.data_mut().begin(records);
        store.data_mut().allow(module.timeout());
        let limit = module.output_limit() + records.len() * OUTCOME_BYTES;
        store.set_hostcall_fuel(limit);
        self.transform
            .call(store, records, limit)
            .map_err(|ended| match ended {
                CallEnd::Returned(error) => error,
                CallEnd::Trapped(error) => {
                    let said = store.data_mut().said();
                    CallError::Broken(Broken::read(&error, said))
                }
            })
    }

    /// Bytes of memory that it holds, and the most that it has held.
    pub(super) fn memory(&self) -> (usize, usize) {
        let host = self.store.data();
        (host.memory(), host.memory_peak())
    }
}
