//! Fields without a column, columns without a field, and values that do not fit: what others read of them, and who is told.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::command::succeed;
use crate::support::daemon::Site;
use crate::support::http::{get, metric, post_records};
use crate::support::lake;
use crate::support::python::python;
use crate::support::settings::ToFolder;

const EVENTS: u64 = 900;

/// From the 300th event on whoever sends them says `cost` for `price`; some prices are words.
fn event(number: u64) -> Value {
    let price = match number % 9 {
        0 => json!("free"),
        _ => json!(number),
    };
    let name = if number < 300 { "price" } else { "cost" };
    let mut event = json!({
        "timestamp": format!("{:02}/11/2026 10:{:02}", 1 + number % 28, number % 60),
        "Http.Status": number.to_string(),
        "user": {"name": "ada", "mail": format!("{number}@example.org")},
        "lines": [{"sku": "a"}, {"sku": "b", "qty": number}],
    });
    event[name] = price;
    event
}

/// What `DuckDB` finds in all objects.
const QUERY: &str = r#"
import duckdb, json, sys
found = duckdb.execute("""
    select count(*), count(price), sum(price), count(_unknown ->> '$.cost'), sum((_unknown ->> '$.lines.1.qty')::int),
        count(distinct _unknown ->> '$.user.mail'), sum(http_status), min(ts)::varchar, max(ts)::varchar,
        count(*) filter (json_valid(_unknown))
    from read_parquet(?)
""", [sys.argv[1] + "/**/*.parquet"]).fetchone()
print(json.dumps([str(value) for value in found]))
"#;

const FORMAT: &str = r#"type = "parquet"
schema = "ts timestamp, http_status int, price int, user struct<name:string>, lines array<struct<sku:string>>"
on_unknown_field = "keep"
on_conversion_error = { price = "null" }
dots_to_underscores = true
column_to_json_key = { ts = "timestamp" }
timestamp_formats = ["dd/MM/yyyy HH:mm"]"#;

#[test]
fn what_fits_no_column_is_read_back_and_seen_while_the_stream_runs() {
    let to_folder = ToFolder {
        stream: "events",
        query: "{k: \"k\"}",
        prefix: "data/k=!{partitionKeyFromQuery:k}/",
        interval: "1s",
        format: FORMAT,
    };
    let site = Site::new(&to_folder.settings());
    let mut daemon = site.start();
    let mut lines = String::new();
    for number in 0..EVENTS {
        writeln!(lines, "{}", event(number)).unwrap();
    }
    // What does not fit a column of another rule fails.
    writeln!(lines, "{}", json!({"timestamp": "soon", "price": 1})).unwrap();
    let reply = post_records(site.address, "events", lines.as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());

    let account = || -> Value {
        let reply = get(site.address, "/streams/events").unwrap();
        serde_json::from_str(&reply.text()).unwrap()
    };
    let is_done = || {
        let records = &account()["records"];
        records["delivered"] == EVENTS && records["failed"] == 1
    };
    daemon
        .until("all is delivered or has failed", is_done)
        .unwrap();

    // Every ninth price is a word. Of the record that failed nothing is counted behind the member that did not fit.
    let (late, words) = (EVENTS - 300, 300_u64.div_ceil(9));
    let expected = json!({
        "unknown": {"cost": late, "user.mail": EVENTS, "lines[].qty": EVENTS},
        "missing": {"price": late},
        "nulled": {"price": words},
        "coerced": {"http_status": EVENTS},
    });
    assert_eq!(account()["fields"], expected);
    for (name, field, count) in [
        ("firehose_unknown_field_records_total", "cost", late),
        (
            "firehose_unknown_field_records_total",
            "lines[].qty",
            EVENTS,
        ),
        ("firehose_missing_field_records_total", "price", late),
        ("firehose_nulled_field_records_total", "price", words),
        (
            "firehose_coerced_field_records_total",
            "http_status",
            EVENTS,
        ),
    ] {
        let series = format!("{name}{{stream=\"events\",field=\"{field}\"}}");
        let found = metric(site.address, &series).to_string();
        assert_eq!(found, count.to_string(), "{series}");
    }
    let page = get(site.address, "/").unwrap().text();
    let shown = format!("{late} × <code>cost</code>");
    assert!(page.contains(&shown), "{page}");

    daemon.drain();
    let prices = (0..300_u64).filter(|number| number % 9 != 0);
    let expected = [
        EVENTS.to_string(),
        prices.clone().count().to_string(),
        prices.sum::<u64>().to_string(),
        late.to_string(),
        (0..EVENTS).sum::<u64>().to_string(),
        EVENTS.to_string(),
        (0..EVENTS).sum::<u64>().to_string(),
        "2026-11-01 10:00:00+00".to_owned(),
        "2026-11-28 10:59:00+00".to_owned(),
        EVENTS.to_string(),
    ];
    let mut command = Command::new(python());
    let data = site.path("lake/data");
    let found = succeed(command.env("TZ", "UTC").args(["-c", QUERY]).arg(data));
    let found: Vec<String> = serde_json::from_slice(&found).unwrap();
    assert_eq!(found, expected);
    assert_eq!(lake::objects(&site.path("lake"), "errors").len(), 1);

    let shown = site.command(&["schema", "show", "events"]).done();
    assert!(shown.ends_with("`_unknown` string\n"), "{shown}");
}

/// An object that is made after a quarter of an hour says nothing of its fields before.
#[test]
fn a_field_without_a_column_is_told_while_its_object_still_fills() {
    let to_folder = ToFolder {
        stream: "events",
        query: "{k: \"k\"}",
        prefix: "data/k=!{partitionKeyFromQuery:k}/",
        interval: "900s",
        format: FORMAT,
    };
    let site = Site::new(&to_folder.settings());
    let mut daemon = site.start();
    let lines = (300..400).map(|number| format!("{}\n", event(number)));
    daemon.take("events", lines.collect::<String>().as_bytes());
    let paths = ["cost", "lines[].qty", "user.mail"];
    for path in paths {
        let series =
            format!("firehose_schema_drift{{stream=\"events\",kind=\"unknown\",field=\"{path}\"}}");
        daemon
            .until(path, || metric(site.address, &series) >= 1.0)
            .unwrap();
    }
    let account = get(site.address, "/streams/events").unwrap().text();
    let account: Value = serde_json::from_str(&account).unwrap();
    assert_eq!(account["drift"], json!({"unknown": paths, "missing": []}));
    assert_eq!(
        account["fields"]["unknown"],
        json!({}),
        "nothing is encoded yet"
    );
    let page = get(site.address, "/").unwrap().text();
    assert!(
        page.contains("<code>user.mail</code><br><td></tr>"),
        "{page}"
    );
    let told = || {
        let log = fs::read_to_string(site.log()).unwrap();
        let told = log.lines().map(str::to_owned);
        let told = told.filter(|line| line.contains("somebody may have renamed a field"));
        told.collect::<Vec<String>>()
    };
    daemon
        .until("the log says it", || !told().is_empty())
        .unwrap();
    daemon.drain();
    let told = told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(&paths.join(", ")), "{told:?}");
}
