//! Event times.

use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_cached_text_is_the_text_of_the_moment(
        steps in proptest::collection::vec((-3_000_000_000_i64..6_000_000_000, -2000_i64..2000), 1..30),
        zone in 0_usize..4, pattern in 0_usize..4,
    ) {
        let names = ["UTC", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe"];
        let zone = Zone::find(Some(names[zone])).unwrap();
        let pattern = ["yyyy-MM-dd", "yyyy/MM/dd/HH", "HH:mm Z", "dd HH:mm:ss XXXXX"][pattern];
        let patterns = EventTimePatterns::new(vec![DatePattern::parse(pattern).unwrap()], Vec::new());
        let mut cache = EventTimeCache::new();
        for (base, step) in steps {
            for at in [base, base + step, base - step] {
                let mut expected = String::new();
                patterns.patterns[0].format(&zone.at(at), &zone, &mut expected);
                let text = cache.texts(&patterns, &zone, at).get(0).to_owned();
                prop_assert_eq!(text, expected);
            }
        }
    }
}
