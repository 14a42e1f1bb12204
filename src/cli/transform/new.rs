//! `firehose transform new`: the folder of a new transform.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};

use super::super::CommandError;
use super::templates::{self, TemplateFile};

/// Arguments of `transform new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The folder; its last part names the transform.
    folder: PathBuf,
    /// What it is written in.
    #[arg(long)]
    lang: Language,
}

/// The languages that there are templates for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Language {
    /// Rust.
    Rust,
    /// Python, with a whole `CPython` in the module.
    Python,
    /// JavaScript, with `QuickJS` in the module.
    Js,
    /// C, without a C library.
    C,
}

/// Writes the folder and says how it goes on.
pub(super) fn run(args: &NewArgs, out: &mut dyn Write) -> Result<(), CommandError> {
    let name = name(&args.folder)?;
    let files = match args.lang {
        Language::Rust => templates::RUST,
        Language::Python => templates::PYTHON,
        Language::Js => templates::JS,
        Language::C => templates::C,
    };
    refuse_full(&args.folder)?;
    for (path, text) in files {
        let path = args.folder.join(path);
        write(&path, &named(text, name))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let folder = args.folder.display();
    writeln!(
        out,
        "{folder} has {} files. Next:\n\n  cd {folder}",
        files.len()
    )?;
    for command in commands(files) {
        writeln!(out, "  {}", named(command, name))?;
    }
    writeln!(out, "\nREADME.md says how a stream uses it.")?;
    Ok(())
}

/// The name that a transform in this folder has: it becomes that of a crate, a package and a file.
fn name(folder: &Path) -> Result<&str, CommandError> {
    let name = folder.file_name().and_then(|name| name.to_str());
    let right = |name: &&str| {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(is_word)
    };
    name.filter(right).ok_or_else(|| {
        let message = "the folder's name names the transform: small letters, digits and hyphens, \
                       such as drop-bots";
        CommandError::Usage(message.to_owned())
    })
}

/// Whoever names a folder that holds something would lose it, or mean another.
fn refuse_full(folder: &Path) -> anyhow::Result<()> {
    let shown = folder.display();
    match fs::read_dir(folder).map(|mut entries| entries.next()) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(anyhow!("{shown} is not empty")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(anyhow!("{shown} cannot be read: {error}")),
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).create(folder)?;
    }
    fs::File::create_new(path)?.write_all(text.as_bytes())
}

/// The template's text under the new name.
fn named(text: &str, name: &str) -> String {
    let text = text.replace("my-transform", name);
    text.replace("my_transform", &name.replace('-', "_"))
}

/// The commands that the README shows first.
fn commands(files: &[TemplateFile]) -> impl Iterator<Item = &'static str> {
    let readme = files.iter().find(|(path, _)| *path == "README.md");
    let text = readme.map_or("", |(_, text)| text);
    let mut blocks = text.split("```");
    let shell = blocks.find_map(|block| block.strip_prefix("sh\n"));
    shell.unwrap_or_default().lines()
}
