//! A module, tried out: an instance of it starts, and takes its config.

use super::compiler::NotCompiled;
use super::engine::Engine;
use super::fault::Broken;
use super::instance::{Instance, UnconfiguredInstance};
use super::module::{LoadError, Module};
use super::observer::Observer;
use super::patient::Tries;
use crate::config::TransformSettings;

impl Module {
    /// Reads, compiles and links the module, and starts one instance to see that it takes its config.
    pub(super) fn load(
        engine: &Engine,
        stream: &str,
        settings: &TransformSettings,
        observer: &Observer,
    ) -> Result<Self, LoadError> {
        let module = Self::compile(engine, stream, settings, observer)?;
        module.try_out()?;
        Ok(module)
    }

    /// Starts an instance to see that its exports are as the contract has them, whatever config it
    /// wants.
    pub fn check_exports(&self) -> Result<(), LoadError> {
        self.started(UnconfiguredInstance::start).map(drop)
    }

    /// Starts an instance to see that it takes its config. Returns the memory that it then holds, in
    /// bytes.
    pub fn try_out(&self) -> Result<usize, LoadError> {
        Ok(self.started(Instance::start)?.memory().0)
    }

    /// What starts, with patience if it takes some.
    fn started<T>(&self, start: impl Fn(&Self) -> Result<T, Broken>) -> Result<T, LoadError> {
        let fault = |cause| LoadError {
            module: self.name().to_string(),
            cause,
        };
        let mut started = start(self);
        if started.as_ref().is_err_and(|broken| broken.gave_up) {
            self.patience(Tries::One).map_err(fault)?;
            started = start(self);
        }
        started.map_err(|broken| fault(NotCompiled::of_module(broken.message)))
    }
}
