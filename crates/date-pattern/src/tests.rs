//! Java date patterns.

use super::*;

/// 2026-07-13T04:05:06Z, a Monday.
const AT: i64 = 1_783_915_506;

fn text(pattern: &str, at: i64, zone: &str) -> String {
    let zone = Zone::find(Some(zone)).unwrap();
    let mut out = String::new();
    DatePattern::parse(pattern)
        .unwrap()
        .format(&zone.at(at), &zone, &mut out);
    out
}

#[test]
fn letters_mean_what_they_mean_in_java() {
    for (pattern, expected) in [
        ("yyyy/MM/dd/HH/", "2026/07/13/04/"),
        ("y yy yyy yyyy yyyyy", "2026 26 2026 2026 02026"),
        ("u uu uuuu", "2026 26 2026"),
        ("M MM MMM MMMM MMMMM", "7 07 Jul July J"),
        ("L LL LLL", "7 07 Jul"),
        ("d dd D DD DDD", "13 13 194 194 194"),
        ("E EEE EEEE EEEEE", "Mon Mon Monday M"),
        ("e ee eee", "2 02 Mon"),
        ("Q QQ QQQ QQQQ", "3 03 Q3 3rd quarter"),
        ("Y YY YYYY w ww", "2026 26 2026 29 29"),
        ("a h hh H HH K KK k kk", "AM 4 04 4 04 4 04 4 04"),
        ("m mm s ss", "5 05 6 06"),
        ("S SSS SSSSSS n", "0 000 000000 0"),
        ("G GGGG GGGGG", "AD Anno Domini A"),
        ("z VV", "UTC UTC"),
        (
            "Z ZZZZ ZZZZZ X XX XXX x xx xxx",
            "+0000 GMT Z Z Z Z +00 +0000 +00:00",
        ),
        ("yyyy-MM-dd'T'HH:mm:ss'Z'", "2026-07-13T04:05:06Z"),
        ("'o''clock' ''yy''", "o'clock '26'"),
        ("'year='yyyy", "year=2026"),
    ] {
        assert_eq!(text(pattern, AT, "UTC"), expected, "{pattern}");
    }
}

#[test]
fn the_time_zone_moves_the_clock_and_names_itself() {
    assert_eq!(
        text("yyyy-MM-dd HH z VV XXX Z", AT, "Asia/Kolkata"),
        "2026-07-13 09 IST Asia/Kolkata +05:30 +0530"
    );
    assert_eq!(
        text("dd HH z X x ZZZZ", AT, "America/Los_Angeles"),
        "12 21 PDT -07 -07 GMT-07:00"
    );
    assert_eq!(text("X", AT, "Asia/Kolkata"), "+0530");
}

/// What `java.time` of JDK 17 wrote: see `tests/JavaTimes.java`. A line that begins with a tab holds the
/// pattern of the lines after it: zone, second of the epoch, text.
const JAVA: &str = include_str!("tests/java-17.tsv");

#[test]
fn every_letter_at_every_edge_is_written_as_java_writes_it() {
    let (mut pattern, mut compared) = ("", 0);
    let mut wrong = Vec::new();
    for line in JAVA.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [zone, at, expected] = fields[..] else {
            pattern = fields[1];
            continue;
        };
        let found = text(pattern, at.parse().unwrap(), zone);
        if found != expected {
            wrong.push(format!("{zone} {at}\n  java  {expected}\n  here  {found}"));
        }
        compared += 1;
    }
    assert!(
        wrong.is_empty(),
        "{} wrong: {}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(compared > 2000);
}

#[test]
fn an_offset_of_seconds_is_none_where_seconds_are_not_written() {
    // No zone of today's database was ever so near to UTC; Accra was in older ones.
    for (letter, count, expected) in [
        ('X', 1, "Z"),
        ('X', 3, "Z"),
        ('X', 4, "-000052"),
        ('X', 5, "-00:00:52"),
        ('x', 1, "+00"),
        ('x', 2, "+0000"),
        ('x', 3, "+00:00"),
        ('x', 5, "-00:00:52"),
        ('Z', 1, "+0000"),
        ('Z', 4, "GMT-00:00:52"),
        ('Z', 5, "-00:00:52"),
    ] {
        let mut out = String::new();
        offset(letter, count, -52, &mut out);
        assert_eq!(out, expected, "{letter} {count}");
    }
}

#[test]
fn a_zone_that_java_does_not_know_is_named_by_the_database() {
    assert_eq!(text("z", AT, "EST"), "EST");
    assert_eq!(
        text("z VV", AT, "america/sao_paulo"),
        "BRT america/sao_paulo"
    );
}

#[test]
fn times_beyond_the_years_1_to_9999_are_moved_to_their_edge() {
    let pattern = "uuuu-MM-dd HH:mm:ss";
    assert_eq!(text(pattern, i64::MAX, "UTC"), "9999-12-31 23:59:59");
    assert_eq!(text(pattern, i64::MIN, "UTC"), "0001-01-01 00:00:00");
    let zone = Zone::utc();
    assert_eq!(zone.at(253_402_300_799).to_string(), "9999-12-31T23:59:59Z");
}

#[test]
fn the_week_based_year_differs_from_the_year_around_new_year() {
    // 2024-12-29 is a Sunday: in the United States it opens week 1 of 2025.
    let sunday = 1_735_430_400;
    assert_eq!(text("yyyy YYYY ww", sunday, "UTC"), "2024 2025 01");
    assert_eq!(text("yyyy YYYY ww", sunday - 86_400, "UTC"), "2024 2024 52");
    // 2027-01-01 is a Friday of the week that begins on 2026-12-27.
    assert_eq!(text("yyyy YYYY ww", 1_798_761_600, "UTC"), "2027 2027 01");
}

#[test]
fn day_of_month_and_day_of_year_differ() {
    assert_eq!(text("dd DDD", 1_767_225_600 + 40 * 86_400, "UTC"), "10 041");
}

#[test]
fn midnight_and_noon_are_twelve() {
    let midnight = 1_767_225_600;
    assert_eq!(text("hh KK kk HH a", midnight, "UTC"), "12 00 24 00 AM");
    assert_eq!(
        text("hh KK kk HH a", midnight + 12 * 3600, "UTC"),
        "12 00 12 12 PM"
    );
}

#[test]
fn faults_name_the_letter_and_its_place() {
    for (pattern, at, part) in [
        ("yyyy-bb", 5..7, "'b'"),
        ("yyyy/ddd", 5..8, "\"ddd\""),
        ("HHH", 0..3, "at most 2"),
        ("yyyy 'open", 5..10, "no end"),
        ("yyyy[MM]", 4..5, "'['"),
        ("V", 0..1, "exactly 2"),
        ("zzzz", 0..4, "at most 3"),
        ("aa", 0..2, "once"),
        ("P", 0..1, "'P'"),
    ] {
        let fault = DatePattern::parse(pattern).unwrap_err();
        assert_eq!(fault.at, at, "{pattern}");
        assert!(fault.message.contains(part), "{}", fault.message);
    }
}

#[test]
fn a_pattern_without_fields_is_its_text() {
    assert_eq!(
        DatePattern::parse("'raw'/1").unwrap().constant(),
        Some("raw/1")
    );
    assert_eq!(DatePattern::parse("yyyy").unwrap().constant(), None);
}

proptest::proptest! {
    #[test]
    fn no_text_is_wider_than_announced(
        pattern in "(y{1,9}|u{1,9}|Y{1,9}|M{1,5}|d{1,2}|D{1,3}|E{1,5}|e{1,5}|Q{1,5}|a|[hHkKmsw]{1}|S{1,9}|n{1,9}|z{1,3}|VV|Z{1,5}|X{1,5}|x{1,5}|G{1,5}|[/ :-]){0,8}",
        at in -62_135_596_800_i64..253_402_300_800,
        zone in 0_usize..5,
        edge in -90_000_i64..90_000, is_edge: bool,
    ) {
        let zone = Zone::find(Some(["UTC", "Asia/Kolkata", "America/Sao_Paulo", "America/Argentina/ComodRivadavia", "Etc/GMT-14"][zone])).unwrap();
        let at = if is_edge && edge < 0 { 253_402_300_800 + edge } else if is_edge { edge - 62_135_596_800 } else { at };
        if let Ok(pattern) = DatePattern::parse(&pattern) {
            let mut out = String::new();
            pattern.format(&zone.at(at), &zone, &mut out);
            proptest::prop_assert!(out.chars().count() <= pattern.widest(&zone).chars().count(), "{out}");
        }
    }

    #[test]
    fn any_pattern_is_read_without_panic(pattern: String) {
        let _ = DatePattern::parse(&pattern);
    }
}
