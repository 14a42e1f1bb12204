//! Packed outcomes that add up, and those that do not.

use proptest::prelude::*;

use super::*;

/// What a guest packs of these outcomes.
fn packed(outcomes: &[Outcome]) -> Outcomes {
    let (mut data, mut ends, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut failures, mut keys) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        let outputs = match outcome {
            Outcome::Ok(output) => std::slice::from_ref(output),
            Outcome::Many(outputs) => outputs,
            Outcome::Dropped => &[],
            Outcome::Failed(message) => {
                failures.push(message.clone());
                counts.push(FAILED);
                continue;
            }
        };
        counts.push(u32::try_from(outputs.len()).unwrap());
        for output in outputs {
            let key = |(name, value): &(String, String)| PartitionKey {
                output: u32::try_from(ends.len()).unwrap(),
                name: name.clone(),
                value: value.clone(),
            };
            keys.extend(output.keys.iter().map(key));
            data.extend_from_slice(&output.data);
            ends.push(u32::try_from(data.len()).unwrap());
        }
    }
    Outcomes {
        data: data.into(),
        ends,
        counts,
        failures,
        keys,
    }
}

fn output() -> impl Strategy<Value = Output> {
    let keys = prop::collection::vec(("[a-c]", "[x-z]{0,3}"), 0..3);
    (prop::collection::vec(any::<u8>(), 0..9), keys).prop_map(|(data, keys)| Output {
        data: data.into(),
        keys,
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        output().prop_map(Outcome::Ok),
        prop::collection::vec(output(), 2..5).prop_map(Outcome::Many),
        Just(Outcome::Dropped),
        "[a-z]{0,5}".prop_map(Outcome::Failed),
    ]
}

fn outcomes() -> impl Strategy<Value = Vec<Outcome>> {
    prop::collection::vec(outcome(), 0..12)
}

proptest! {
    #[test]
    fn what_was_packed_is_unpacked(outcomes in outcomes()) {
        let unpacked = unpack(packed(&outcomes), outcomes.len(), 1 << 20);
        prop_assert_eq!(unpacked, Ok(outcomes));
    }

    /// Whatever a guest says, there is an outcome for each record or an error, and no more data in the
    /// outcomes than it has returned.
    #[test]
    fn nonsense_is_an_error_or_adds_up(
        data in prop::collection::vec(any::<u8>(), 0..20),
        ends in prop::collection::vec(prop_oneof![0..25_u32, any::<u32>()], 0..6),
        counts in prop::collection::vec(prop_oneof![0..4_u32, Just(FAILED), any::<u32>()], 0..6),
        failures in prop::collection::vec("[a-z]{0,3}", 0..3),
        keys in prop::collection::vec((0..4_u32, "[a-z]", "[a-z]"), 0..3),
        records in 0..6_usize,
    ) {
        let len = data.len();
        let keys = keys.into_iter().map(|(output, name, value)| PartitionKey { output, name, value });
        let keys = keys.collect();
        let said = Outcomes { data: data.into(), ends, counts, failures, keys };
        if let Ok(outcomes) = unpack(said, records, 1 << 20) {
            prop_assert_eq!(outcomes.len(), records);
            let again = packed(&outcomes);
            prop_assert_eq!(again.data.len(), len);
        }
    }
}

type Spoil<'a> = &'a dyn Fn(&mut Outcomes);

#[test]
fn what_does_not_add_up_is_named() {
    let output = |data: &'static [u8]| Output {
        data: Bytes::from_static(data),
        keys: vec![("k".into(), "v".into())],
    };
    let whole = || packed(&[Outcome::Ok(output(b"ab")), Outcome::Failed("why".into())]);
    let spoilt = |spoil: Spoil<'_>| {
        let mut outcomes = whole();
        spoil(&mut outcomes);
        unpack(outcomes, 2, 1 << 20).unwrap_err().message
    };
    let cases: [(Spoil<'_>, &str); 9] = [
        (&|it| it.counts.truncate(1), "1 outcomes for 2 records"),
        (&|it| it.failures.clear(), "no message"),
        (&|it| it.failures.push("more".into()), "more messages"),
        (&|it| it.counts[0] = 2, "more outputs than `ends`"),
        (&|it| it.ends.push(2), "more outputs than `counts`"),
        (&|it| it.ends[0] = 3, "beyond the data"),
        (&|it| it.ends[0] = 1, "data behind the last output"),
        (&|it| it.keys[0].output = 1, "order of the outputs"),
        (&|it| it.ends.resize(1 << 20, 2), "more than output allows"),
    ];
    for (spoil, expected) in cases {
        let message = spoilt(spoil);
        assert!(message.contains(expected), "{message} lacks {expected}");
    }
    assert!(unpack(whole(), 2, 1 << 20).is_ok());
}
