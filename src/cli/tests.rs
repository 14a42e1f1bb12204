//! The command line from arguments to exit code.

use super::{Exit, run};

/// Exit code, output, errors of `firehose` with `arguments`.
fn firehose(arguments: &[&str]) -> (Exit, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = std::iter::once("firehose").chain(arguments.iter().copied());
    let exit = run(arguments.map(Into::into), &mut out, &mut err);
    (
        exit,
        String::from_utf8(out).unwrap(),
        String::from_utf8(err).unwrap(),
    )
}

#[test]
fn help_and_version_are_output_and_a_wrong_word_is_a_usage_error() {
    let (exit, out, _) = firehose(&["--version"]);
    assert_eq!((exit, out.as_str()), (Exit::Done, "firehose 0.1.0\n"));
    let (exit, out, _) = firehose(&["--help"]);
    assert_eq!(exit, Exit::Done);
    assert!(out.contains("Usage: firehose"), "{out}");
    let (exit, out, err) = firehose(&["chekc"]);
    assert_eq!((exit, out.as_str()), (Exit::Usage, ""));
    assert!(err.contains("'check'"), "{err}");
}

#[test]
fn the_command_line_is_consistent() {
    use clap::CommandFactory as _;
    super::CommandLine::command().debug_assert();
}

#[test]
fn a_missing_config_file_is_named_and_ends_in_exit_code_2() {
    let (exit, _, err) = firehose(&["check", "--config", "no/such.toml"]);
    assert_eq!(exit, Exit::Usage);
    let expected = "no/such.toml cannot be read: No such file or directory (os error 2)\n  \
                    help: name another file with --config FILE\n";
    assert_eq!(err, expected);
}
