//! `firehose transform inspect`: what a module is, and whether the daemon would take it.

use std::io::{self, Read as _, Write};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use indicatif::HumanBytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::super::CommandError;
use super::host::{CompiledModule, HostArgs};
use crate::printable::printable;
use crate::transform::ComponentKind;

/// Arguments of `transform inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    host: HostArgs,
    /// One JSON document.
    #[arg(long)]
    json: bool,
}

/// Shows what can be known; a module that cannot be used is a failure.
pub(super) fn run(
    args: &InspectArgs,
    config: &Path,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), CommandError> {
    let mut facts = Facts {
        as_json: args.json,
        said: serde_json::Map::new(),
        out,
    };
    let ended = inspect(args, config, &mut facts, err);
    facts.finish()?;
    ended
}

fn inspect(
    args: &InspectArgs,
    config: &Path,
    facts: &mut Facts<'_>,
    err: &mut dyn Write,
) -> Result<(), CommandError> {
    let name = args.host.module.display().to_string();
    facts.say("module", &name, json!(name))?;
    let (size, sha256) = digest(&args.host.module)
        .map_err(|error| anyhow::anyhow!("{name} cannot be read: {error}"))?;
    facts.say("size", &format!("{size} bytes"), json!(size))?;
    facts.say("sha256", &sha256, json!(sha256))?;
    let host = CompiledModule::compile(&args.host, config)?;
    let (module, about) = (&host.module, host.module.about());
    let kind = match about.kind {
        ComponentKind::Component => "component",
        ComponentKind::Core => "core module",
    };
    facts.say("kind", kind, json!(kind))?;
    let imports = match about.imports.as_slice() {
        [] => "none".to_owned(),
        imports => imports.join(", "),
    };
    facts.say("imports", &imports, json!(about.imports))?;
    let exports = module.check_exports().map_err(anyhow::Error::from);
    host.log.write(err)?;
    exports?;
    let fits = format!("firehose:transform/{}@1.0.0", about.world.name());
    facts.say("fits", &fits, json!(fits))?;
    let calls = if module.one_by_one() {
        "one record at a time, for the clock or random numbers that it imports"
    } else {
        "some hundred records at a time"
    };
    facts.say(
        "calls",
        calls,
        json!(if module.one_by_one() { "one" } else { "many" }),
    )?;
    let (took, cached) = (about.compile_time, about.cached);
    facts.say(
        "compiled",
        &compiled(took, cached),
        json!({"seconds": took.as_secs_f64(), "cached": cached}),
    )?;
    let tried = module.try_out();
    host.log.write(err)?;
    match tried {
        Ok(memory) => {
            let text = format!(
                "takes its config, then holds {} of memory",
                HumanBytes(memory as u64)
            );
            facts.say("configure", &text, json!({"memory": memory}))?;
            Ok(())
        }
        // Most modules want a config; that it is missing here says nothing about them.
        Err(error) if !args.host.has_config() => {
            let cause = error.cause();
            let cause = cause.strip_prefix("configure: ").unwrap_or(cause);
            let text = format!("does not take an empty config: {}", printable(cause));
            facts.say("configure", &text, json!({"error": cause}))?;
            Ok(())
        }
        Err(error) => Err(anyhow::Error::from(error).into()),
    }
}

/// How long it took until there was compiled code.
pub(super) fn compiled(took: Duration, cached: bool) -> String {
    if cached {
        return format!("before, loaded in {took:.1?}");
    }
    format!("in {took:.1?}")
}

/// Bytes and SHA-256 of a file, which may be far larger than any module.
fn digest(path: &Path) -> io::Result<(u64, String)> {
    let mut file = std::fs::File::open(path)?;
    let (mut size, mut hasher) = (0, Sha256::new());
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        size += read as u64;
        hasher.update(&buffer[..read]);
    }
    let digits = hasher.finalize();
    let digits = digits.iter().map(|byte| format!("{byte:02x}"));
    Ok((size, digits.collect()))
}

/// What is known, said as soon as it is, or in one document at the end.
struct Facts<'w> {
    as_json: bool,
    said: serde_json::Map<String, Value>,
    out: &'w mut dyn Write,
}

impl Facts<'_> {
    fn say(&mut self, name: &str, text: &str, value: Value) -> io::Result<()> {
        if self.as_json {
            self.said.insert(name.to_owned(), value);
            return Ok(());
        }
        writeln!(self.out, "{name:<10} {text}")
    }

    fn finish(self) -> io::Result<()> {
        if self.as_json {
            writeln!(self.out, "{}", Value::Object(self.said))?;
        }
        Ok(())
    }
}
