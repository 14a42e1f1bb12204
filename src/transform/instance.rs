//! One instance of a module: its store, and a call.

use wasmtime::Store;
use wasmtime::component::Func;

use super::abi::{
    CONFIGURE, ConfigureParams, ConfigureResult, Input, Outcome, TRANSFORM, TransformParams,
    TransformResult,
};
use super::fault::{Broken, Cause};
use super::host::Host;
use super::module::Module;
use crate::record::Record;

/// Bytes that the host takes for an outcome beside what it holds, about: not to be reckoned against
/// the guest's `output`.
const OUTCOME_BYTES: usize = 128;

/// A running module.
pub(super) struct Instance {
    store: Store<Host>,
    transform: Func,
}

/// An instance that has not seen its config yet.
pub(super) struct Fresh {
    store: Store<Host>,
    configure: Func,
    transform: Func,
}

/// Why a call gave no outcomes.
#[derive(Debug)]
pub(super) enum CallError {
    /// The module says that it failed; the instance lives.
    Refused(String),
    /// The instance is lost.
    Broken(Broken),
}

impl Fresh {
    /// Starts an instance whose exports are as the contract has them. Bounded in time and memory as
    /// any call is, and `configure` after it within the same bounds.
    pub(super) fn start(module: &Module) -> Result<Self, Broken> {
        patiently(module, || Self::of(module))
    }

    fn of(module: &Module) -> Result<Self, Broken> {
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
        let configure = func(&mut store, CONFIGURE)?;
        let transform = func(&mut store, TRANSFORM)?;
        let mismatch = |name: &str, error: &wasmtime::Error| {
            Broken::new(
                Cause::Start,
                format!("the export `{name}` is not as the contract has it: {error:#}"),
            )
        };
        transform
            .typed::<TransformParams<'_>, TransformResult>(&store)
            .map_err(|error| mismatch(TRANSFORM, &error))?;
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

/// Does it again with a patient instance if a swift one gave up.
fn patiently<T>(module: &Module, work: impl Fn() -> Result<T, Broken>) -> Result<T, Broken> {
    match work() {
        Err(broken) if broken.gave_up && module.become_patient() => work(),
        result => result,
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

impl Instance {
    /// Starts an instance and gives it the config.
    pub(super) fn start(module: &Module) -> Result<Self, Broken> {
        patiently(module, || Fresh::of(module)?.configure(module.config()))
    }

    /// Calls the module with some records: one outcome each, in their order.
    pub(super) fn call(
        &mut self,
        module: &Module,
        records: &[Record<'_>],
    ) -> Result<Vec<Outcome>, CallError> {
        let inputs: Vec<Input<'_>> = records
            .iter()
            .map(|record| Input {
                data: record.data,
                arrival_ms: record.arrival_ms,
            })
            .collect();
        let store = &mut self.store;
        store.data_mut().begin(records);
        store.data_mut().allow(module.timeout());
        store.set_hostcall_fuel(module.output_limit() + records.len() * OUTCOME_BYTES);
        let called = self
            .transform
            .typed::<TransformParams<'_>, TransformResult>(&*store)
            .and_then(|transform| transform.call(&mut *store, (&inputs,)));
        match called {
            Ok((Ok(outcomes),)) if outcomes.len() == records.len() => Ok(outcomes),
            Ok((Ok(outcomes),)) => Err(CallError::Broken(Broken::new(
                Cause::Count,
                format!(
                    "the module returned {} outcomes for {} records",
                    outcomes.len(),
                    records.len()
                ),
            ))),
            Ok((Err(message),)) => Err(CallError::Refused(message)),
            Err(error) => {
                let said = store.data_mut().said();
                Err(CallError::Broken(Broken::read(&error, said)))
            }
        }
    }

    /// Bytes of memory that it holds, and the most that it has held.
    pub(super) fn memory(&self) -> (usize, usize) {
        let host = self.store.data();
        (host.memory(), host.memory_peak())
    }
}
