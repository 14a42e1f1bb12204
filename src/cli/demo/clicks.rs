//! Realistic click events for the demo; one in a hundred is bad in one of three ways.

use jiff::Timestamp;
use uuid::Uuid;

/// One record in so many is bad.
const BAD_ONE_IN: u64 = 100;

const EVENT_TYPES: [&str; 6] = [
    "page_view",
    "page_view",
    "page_view",
    "click",
    "search",
    "order",
];
const COUNTRIES: [&str; 6] = ["DE", "US", "FR", "IN", "BR", "JP"];
const PAGES: [&str; 5] = ["/", "/search", "/product/42", "/cart", "/checkout"];
const DEVICES: [(&str, &str); 4] = [
    ("ios", "iPhone 17"),
    ("android", "Pixel 11"),
    ("macos", "MacBook"),
    ("windows", "PC"),
];
const TAGS: [&str; 4] = ["new", "returning", "newsletter", "ad"];

/// A sample producer's events.
#[derive(Debug, Default)]
pub(super) struct Clicks {
    count: u64,
}

impl Clicks {
    /// A producer at its first event.
    pub(super) const fn new() -> Self {
        Self { count: 0 }
    }

    /// The next event, which happened at `now_ms`.
    pub(super) fn next(&mut self, now_ms: i64) -> String {
        self.count += 1;
        let event = event(now_ms);
        if !self.count.is_multiple_of(BAD_ONE_IN) {
            return event;
        }
        match self.count / BAD_ONE_IN % 3 {
            0 => event[..event.len() / 2].to_owned(),
            1 => event.replace("\"event_type\"", "\"event_typo\""),
            _ => event.replace("\"price\":", "\"price\":\"free\",\"was\":"),
        }
    }
}

fn event(now_ms: i64) -> String {
    let ts = Timestamp::from_millisecond(now_ms).unwrap_or_default();
    let (os, model) = pick(&DEVICES);
    let (id, user) = (Uuid::new_v4(), fastrand::u32(1..50_000));
    let price = f64::from(fastrand::u32(99..20_000)) / 100.0;
    format!(
        r#"{{"event_id":"{id}","ts":"{ts:.3}","event_type":"{}","user":{{"id":{user},"country":"{}","email":"user{user}@example.com"}},"page":"{}","device":{{"os":"{os}","model":"{model}"}},"tags":["{}"],"price":{price}}}"#,
        pick(&EVENT_TYPES),
        pick(&COUNTRIES),
        pick(&PAGES),
        pick(&TAGS),
    )
}

fn pick<T: Copy>(choices: &[T]) -> T {
    choices[fastrand::usize(..choices.len())]
}
