//! The module at hand, in the daemon's host with the limits that were asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::super::{CommandError, compiled, settings};
use super::log::LogLines;
use crate::config::{self, Isolation, TransformSettings, parse_duration, parse_size};
use crate::transform::{Chain, LoadError, Module, Workshop};

/// The stream that records come from where none is named.
const STREAM: &str = "test";

/// The module's config and limits. What is left out is as in a config file that leaves it out.
#[derive(Debug, Args)]
pub(super) struct HostArgs {
    /// The module: a component, or a core module that can be made one.
    pub(super) module: PathBuf,
    /// Its config: JSON, or @FILE with JSON or TOML.
    #[arg(long, value_name = "JSON|@FILE")]
    module_config: Option<String>,
    /// How long one call may take, such as 1s.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// Memory that one instance may take, such as 64MiB.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    memory: Option<u64>,
    /// Bytes that one call may return, such as 6MiB.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    output: Option<u64>,
    /// Memory that compiling the module may take, such as 1GiB.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    compile_memory: Option<u64>,
    /// CPU time that compiling the module may take, such as 2m.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    compile_timeout: Option<Duration>,
    /// How long an instance lives.
    #[arg(long)]
    isolation: Option<IsolationArg>,
    /// Config and limits that the module has in this stream of the config file.
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
}

/// How long an instance lives.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum IsolationArg {
    /// From call to call, until it fails.
    Reuse,
    /// For one call.
    Batch,
}

impl HostArgs {
    /// Whether they name a config.
    pub(super) const fn has_config(&self) -> bool {
        self.module_config.is_some() || self.stream.is_some()
    }

    /// The settings that the daemon would have.
    fn settings(&self, config: &Path) -> Result<TransformSettings, CommandError> {
        if config.to_string_lossy().trim_start().starts_with('{') {
            let mistaken =
                "--config names the daemon's config file; the module's config is --module-config";
            return Err(CommandError::Usage(mistaken.to_owned()));
        }
        let mut settings = match &self.stream {
            Some(stream) => self.of_stream(stream, config)?,
            None => TransformSettings::of(self.module.clone()),
        };
        if let Some(config) = &self.module_config {
            settings.config = module_config(config)?;
        }
        settings.timeout = self.timeout.unwrap_or(settings.timeout);
        settings.memory = self.memory.unwrap_or(settings.memory);
        settings.output = self.output.unwrap_or(settings.output);
        let compile = &mut settings.compile;
        compile.memory = self.compile_memory.unwrap_or(compile.memory);
        compile.timeout = self.compile_timeout.unwrap_or(compile.timeout);
        settings.isolation = match self.isolation {
            Some(IsolationArg::Reuse) => Isolation::Reuse,
            Some(IsolationArg::Batch) => Isolation::Batch,
            None => settings.isolation,
        };
        Ok(settings)
    }

    /// What the stream says of the same file, or of its only module: a newer build may lie elsewhere.
    fn of_stream(&self, name: &str, config: &Path) -> Result<TransformSettings, CommandError> {
        let config = settings::load(config)?.config;
        let stream = settings::stream(&config, name)?;
        let here = self.module.canonicalize().ok();
        let same = |settings: &&TransformSettings| {
            here.is_some() && settings.module.canonicalize().ok() == here
        };
        let found = match stream.transforms.as_slice() {
            [only] => Some(only),
            several => several.iter().find(same),
        };
        let found = found.ok_or_else(|| {
            let module = self.module.display();
            CommandError::Usage(format!("the stream \"{name}\" has no transform {module}"))
        })?;
        Ok(TransformSettings {
            name: self.module.display().to_string(),
            module: self.module.clone(),
            ..found.clone()
        })
    }
}

/// Reads `--module-config`.
fn module_config(text: &str) -> Result<String, CommandError> {
    let usage = |message: String| CommandError::Usage(format!("--module-config: {message}"));
    let (text, name) = match text.strip_prefix('@') {
        None => (text.to_owned(), "not JSON"),
        Some(path) => {
            let read = std::fs::read_to_string(path);
            let text = read.map_err(|error| usage(format!("{path} cannot be read: {error}")))?;
            let path = Path::new(path);
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                let env = |name: &str| std::env::var(name).ok();
                return Ok(config::parse_object(text, path, &env)?);
            }
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            (text.to_owned(), path.to_str().unwrap_or_default())
        }
    };
    let config: Value =
        serde_json::from_str(&text).map_err(|error| usage(format!("{name}: {error}")))?;
    if !config.is_object() {
        return Err(usage("a JSON object is wanted".to_owned()));
    }
    Ok(config.to_string())
}

/// A compiled module, not tried out yet.
pub(super) struct CompiledModule {
    pub(super) module: Module,
    pub(super) log: LogLines,
}

impl CompiledModule {
    /// Compiles the module.
    pub(super) fn compile(args: &HostArgs, config: &Path) -> Result<Self, CommandError> {
        let settings = args.settings(config)?;
        let engine = compiled::engine()?;
        let log = LogLines::new();
        let stream = args.stream.as_deref().unwrap_or(STREAM);
        let module = Module::compile(&engine, stream, &settings, &log.observer()?)
            .map_err(anyhow::Error::from)?;
        Ok(Self { module, log })
    }

    /// A place to run the module with `config`, if it takes that.
    pub(super) fn workshop(&self, config: Option<String>) -> Result<Workshop, LoadError> {
        let module = match config {
            Some(config) => self.module.with_config(config),
            None => self.module.clone(),
        };
        module.try_out()?;
        Ok(Workshop::new(Arc::new(Chain::of(vec![module]))))
    }
}
