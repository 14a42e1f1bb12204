//! When a batch is full, where more than one setting says so.

use super::*;

#[test]
fn a_backup_takes_from_the_stream_what_fits_its_own_interval() {
    let of_backup = |lines: &str| {
        let stream = "buffering = { interval = \"1h\", align = \"clock\", close_after = \"5m\" }";
        let loaded = load(&format!("{MINIMAL}{stream}\n[stream.c.backup]\n{lines}"));
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        let backup = loaded.config.streams["c"].backup.clone().unwrap();
        let buffering = backup.buffering;
        (buffering.align, buffering.close_after)
    };
    let close_after = Some(Duration::from_mins(5));
    assert_eq!(of_backup(""), (Align::Clock, close_after));
    let five = of_backup("buffering.interval = \"5m\"");
    assert_eq!(five, (Align::Clock, None));
    assert_eq!(
        of_backup("buffering.interval = \"0s\""),
        (Align::Record, None)
    );
    let own = of_backup("buffering = { align = \"record\", close_after = \"1s\" }");
    assert_eq!(own, (Align::Record, Some(Duration::from_secs(1))));
}

#[test]
fn an_interval_that_does_not_divide_a_day_is_a_warning() {
    let text = format!("{MINIMAL}buffering = {{ interval = \"7h\", align = \"clock\" }}\n");
    let told = load(&text).warnings.to_string();
    let expected =
        "the `interval` of 7h does not divide a day: the last object of each day is shorter";
    assert!(told.contains(expected), "{told}");
}
