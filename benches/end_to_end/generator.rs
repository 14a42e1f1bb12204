//! The work set: nested click events from a fixed seed, and what must be found in the output.
//!
//! 8 event types (zipf 1.0) times 12 regions (zipf 0.6) on one date: 96 partitions. Records have
//! about 480 bytes and 16 columns: two structs, a list of structs, a list of strings, a timestamp.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Changed whenever the records change, so that an old file is not taken for a new one.
const VERSION: u32 = 3;

const EVENT_TYPES: [&str; 8] = [
    "page_view",
    "click",
    "search",
    "add_to_cart",
    "login",
    "purchase",
    "refund",
    "share",
];
const REGIONS: [&str; 12] = [
    "us-east-1",
    "eu-central-1",
    "us-west-2",
    "ap-south-1",
    "eu-west-1",
    "sa-east-1",
    "ap-northeast-1",
    "ca-central-1",
    "eu-north-1",
    "me-south-1",
    "af-south-1",
    "ap-southeast-2",
];
const OPERATING_SYSTEMS: [&str; 5] = ["Android", "iOS", "Windows", "macOS", "Linux"];
const MODELS: [&str; 8] = [
    "Pixel 9",
    "iPhone 17",
    "Galaxy S26",
    "ThinkPad X1",
    "MacBook Air",
    "Surface 7",
    "Fairphone 6",
    "Desktop",
];
const CITIES: [(&str, &str); 8] = [
    ("DE", "Berlin"),
    ("US", "New York"),
    ("IN", "Mumbai"),
    ("BR", "Recife"),
    ("JP", "Osaka"),
    ("FR", "Lyon"),
    ("CA", "Toronto"),
    ("ZA", "Durban"),
];
const PAGES: [&str; 6] = [
    "/garden", "/kitchen", "/search", "/cart", "/orders", "/home",
];
const TAGS: [&str; 6] = ["sale", "new", "returning", "newsletter", "mobile", "beta"];
const REFERRERS: [&str; 4] = [
    "https://example.com/",
    "https://example.org/",
    "direct",
    "app",
];
const CURRENCIES: [&str; 4] = ["EUR", "USD", "INR", "BRL"];

/// The Hive columns of a record.
pub const SCHEMA: &str = "event_id string, ts timestamp, event_type string, region string, \
    user_id bigint, session string, device struct<os:string,model:string,app:string>, \
    geo struct<country:string,city:string,lat:double,lon:double>, page string, \
    items array<struct<sku:string,qty:int,price:double>>, tags array<string>, value double, \
    currency string, consent boolean, latency_ms int, referrer string";

/// The same without `session` and `tags`.
pub const SCHEMA_WITHOUT_TWO: &str = "event_id string, ts timestamp, event_type string, region string, \
    user_id bigint, device struct<os:string,model:string,app:string>, \
    geo struct<country:string,city:string,lat:double,lon:double>, page string, \
    items array<struct<sku:string,qty:int,price:double>>, value double, \
    currency string, consent boolean, latency_ms int, referrer string";

/// What the output must add up to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    pub bytes: u64,
    /// Records that convert; the sums are theirs.
    pub rows: u64,
    /// Records that do not.
    pub bad: u64,
    pub user_ids: u64,
    pub latencies: u64,
}

/// The input file and its truth; made when it is not there yet. One record of `one_bad_in` says `null ms` where a
/// number belongs.
pub fn work_set(dir: &Path, bytes: u64, one_bad_in: Option<u64>) -> io::Result<(PathBuf, Truth)> {
    let bad = one_bad_in.map_or(String::new(), |records| format!("-bad-{records}"));
    let input = dir.join(format!("clicks-{VERSION}-{bytes}{bad}.ndjson"));
    let truth_path = input.with_extension("truth");
    if let Ok(text) = fs::read(&truth_path) {
        return Ok((input, serde_json::from_slice(&text)?));
    }
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&input)?);
    let truth = write_events(bytes, one_bad_in, &mut out)?;
    out.flush()?;
    fs::write(truth_path, serde_json::to_vec(&truth)?)?;
    Ok((input, truth))
}

fn write_events(bytes: u64, one_bad_in: Option<u64>, out: &mut impl Write) -> io::Result<Truth> {
    let mut random = SplitMix(42);
    let event_types = Zipf::new(EVENT_TYPES.len(), 1.0);
    let regions = Zipf::new(REGIONS.len(), 0.6);
    let mut truth = Truth {
        bytes: 0,
        rows: 0,
        bad: 0,
        user_ids: 0,
        latencies: 0,
    };
    let mut millis = 0;
    let mut line = Vec::new();
    while truth.bytes < bytes {
        millis += random.below(38);
        let user_id = random.below(3_000_000);
        let latency = 3 + random.below(40) * random.below(40);
        let event_type = EVENT_TYPES[event_types.draw(&mut random)];
        let region = REGIONS[regions.draw(&mut random)];
        let bad =
            one_bad_in.is_some_and(|records| (truth.rows + truth.bad + 1).is_multiple_of(records));
        let latency_text = if bad {
            "\"null ms\"".to_owned()
        } else {
            latency.to_string()
        };
        line.clear();
        write_event(
            &mut random,
            [event_type, region, &latency_text],
            [millis, user_id],
            &mut line,
        )?;
        out.write_all(&line)?;
        truth.bytes += line.len() as u64;
        if bad {
            truth.bad += 1;
        } else {
            truth.rows += 1;
            truth.user_ids += user_id;
            truth.latencies += latency;
        }
    }
    Ok(truth)
}

fn write_event(
    random: &mut SplitMix,
    [event_type, region, latency]: [&str; 3],
    [millis, user_id]: [u64; 2],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let seconds = millis / 1000 % 86_400;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let (country, city) = CITIES[random.index(CITIES.len())];
    // A user keeps a session and a device: that is what makes real events compress.
    let habit = SplitMix(user_id).next();
    let (system, model) = (SplitMix(habit).index(5), SplitMix(habit).index(8));
    write!(
        out,
        "{{\"event_id\":\"{:016x}{:016x}\",\
         \"ts\":\"2026-11-22T{hour:02}:{minute:02}:{second:02}.{:03}Z\",\
         \"event_type\":\"{event_type}\",\"region\":\"{region}\",\"user_id\":{user_id},\
         \"session\":\"{:08x}\",\"device\":{{\"os\":\"{}\",\"model\":\"{}\",\"app\":\"4.{}.{}\"}},\
         \"geo\":{{\"country\":\"{country}\",\"city\":\"{city}\",\"lat\":{}.{:05},\"lon\":{}.{:05}}},\
         \"page\":\"{}/{}\",\"items\":[",
        random.next(),
        random.next(),
        millis % 1000,
        habit >> 32,
        OPERATING_SYSTEMS[system],
        MODELS[model],
        habit / 64 % 8,
        habit / 512 % 4,
        random.below(60),
        random.below(100_000),
        random.below(120),
        random.below(100_000),
        PAGES[random.index(PAGES.len())],
        random.below(50_000),
    )?;
    for item in 0..random.below(3) {
        let comma = if item == 0 { "" } else { "," };
        write!(
            out,
            "{comma}{{\"sku\":\"SKU-{:05}\",\"qty\":{},\"price\":{}.99}}",
            random.below(20_000),
            1 + random.below(3),
            random.below(200),
        )?;
    }
    writeln!(
        out,
        "],\"tags\":[\"{}\",\"{}\"],\"value\":{}.{:02},\"currency\":\"{}\",\"consent\":{},\
         \"latency_ms\":{latency},\"referrer\":\"{}\"}}",
        TAGS[random.index(TAGS.len())],
        TAGS[random.index(TAGS.len())],
        random.below(500),
        random.below(100),
        CURRENCIES[random.index(CURRENCIES.len())],
        random.below(4) != 0,
        REFERRERS[random.index(REFERRERS.len())],
    )
}

/// The generator of Steele, Lea and Flood: the same numbers on every machine.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("below a usize")
    }
}

/// Draws 0 most often; number n with a weight of `1 / (n + 1)^exponent`.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(len: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let cumulated = (1..=u32::try_from(len).expect("few")).map(|rank| {
            sum += f64::from(rank).powf(-exponent);
            sum
        });
        let cumulated: Vec<f64> = cumulated.collect();
        Self(cumulated.into_iter().map(|weight| weight / sum).collect())
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "53 of the 64 bits are enough to draw"
    )]
    fn draw(&self, random: &mut SplitMix) -> usize {
        let drawn = (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
        self.0
            .partition_point(|weight| *weight < drawn)
            .min(self.0.len() - 1)
    }
}
