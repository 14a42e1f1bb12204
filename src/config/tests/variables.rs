//! Variables of the environment in values.

use super::*;

#[test]
fn variables_are_expanded_in_values_and_never_in_keys_or_comments() {
    let prefix = |line: &str| {
        let loaded = load(&with_destination(line));
        loaded.config.streams["c"]
            .destination
            .prefix
            .clone()
            .unwrap()
    };
    assert_eq!(
        prefix("prefix = \"${SECRET}/${SECRET:-x}/${NONE:-d}/${NONE:-}\""),
        "s3cr3t/s3cr3t/d/"
    );
    assert_eq!(
        prefix("prefix = \"${NONE:-!{timestamp:yyyy}/}x\""),
        "!{timestamp:yyyy}/x"
    );
    assert_eq!(
        prefix("prefix = \"$${SECRET}/$SECRET/$$\" # ${NONE}"),
        "${SECRET}/$SECRET/$$"
    );
}

#[test]
fn a_variable_cannot_bring_syntax_into_the_file() {
    let env = |_: &str| Some("\"\nstate_dir = \"${X}".to_owned());
    let text = with_destination("prefix = \"${X}\"");
    let loaded = parse(text, Path::new("firehose.toml"), &env, &registry()).unwrap();
    let prefix = loaded.config.streams["c"].destination.prefix.as_deref();
    assert_eq!(prefix, Some("\"\nstate_dir = \"${X}"));
    assert_eq!(loaded.config.state_dir, Path::new("data/state"));
}
