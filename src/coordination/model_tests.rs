//! Two workers and one shard's lease: every interleaving in a small world.
//!
//! What is explored is what production drives (`decisions`): on what condition a worker writes and what, how it
//! learns whether it has taken a lease and what became of a checkpoint, from what it goes on, when an item may go.
//! The model is what is around it: the table, which judges the conditions, the destination, the stream, and two
//! workers that do what is decided, in any order.
//!
//! A lease item names the body of a checkpoint; the body lists objects that are prepared as uploads and
//! are to be published. A worker may stand still between any two steps while others go on; what it sent may land
//! at any time after. Expiry is not modelled: any worker may take the lease at any time, which is the
//! worst that clocks can do.
//!
//! Each rule can be left out: the model drops a condition from what it was told to send, shows an item that is not the
//! table's, or reaches into the decisions for what they would not give (`left_out`). Leaving one out must be found,
//! or the model says nothing.

mod draft;
mod item;
mod store;
mod worker;

use std::collections::VecDeque;

use foldhash::{HashMap, HashMapExt as _};

use store::{Luck, World};

/// Which rule is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// A checkpoint is written whatever the fencing number.
    FenceNotChecked,
    /// A checkpoint is written whoever is the owner.
    OwnerNotChecked,
    /// A checkpoint is written whatever it comes after.
    NumberNotChecked,
    /// The heartbeat counter serves as the fencing number.
    HeartbeatAsFence,
    /// A take is written whatever happened since the item was read.
    TakeNotConditional,
    /// A take without an answer is known by its worker alone.
    TakeKnownByOwner,
    /// A take without an answer is known by what was drawn for it alone.
    TakeKnownByName,
    /// A worker takes up what the item says is its own, without raising the fencing number.
    ResumeWithoutRaising,
    /// A taker goes on from what it read before it took.
    ResumeFromStaleRead,
    /// A taker forgets what the one before it has left to publish.
    ForgetListAtTaking,
    /// Parts go when the checkpoint is durable.
    PartsAfterCommit,
    /// The body is written after the item that names it.
    BodyAfterCommit,
    /// The body's name follows from the checkpoint's number.
    BodyNamedByNumber,
    /// The preceding body is removed before the checkpoint is known to be durable.
    BodyFreedBeforeCommit,
    /// A checkpoint whose reply was lost, and that has not landed yet, is drafted anew.
    UnsettledDraftedAnew,
    /// What is found under the expected number is taken for one's own.
    SettledByNumber,
    /// Objects are published that no durable checkpoint lists.
    PublishUnlisted,
    /// A worker goes on with an upload that an earlier checkpoint lists.
    AddToListedUpload,
    /// Objects leave the list when their completion was sent.
    UnlistedAtSending,
    /// A worker that has lost the lease aborts the upload of its unsettled checkpoint.
    AbortWhenFenced,
    /// An upload that is gone is taken for published.
    GoneTakenForPublished,
    /// An upload that is gone is taken for vanished, without asking for the object.
    GoneTakenForVanished,
    /// The item goes before its list is empty.
    DeletedBeforeListIsEmpty,
    /// The item goes while the stream still has the shard.
    DeletedBeforeRetention,
    /// An object leaves the list, and where it lies is not noted.
    UnlistedWithoutPlace,
    /// A place is forgotten when telling it was sent.
    ToldAtSending,
    /// A taker forgets what the one before it has left to tell.
    ForgetPlacesAtTaking,
    /// A shard that has ended is done before all its places are told.
    DoneBeforeTold,
}

/// The rules that a world follows.
#[derive(Clone, Copy, Debug)]
struct Rules<'a> {
    broken: &'a [Broken],
    /// Whether fencing is judged by itself, or only what records suffer when it fails.
    judge_fencing: bool,
}

impl Rules<'_> {
    const ALL: Self = Self {
        broken: &[],
        judge_fencing: true,
    };

    fn lacks(self, rule: Broken) -> bool {
        self.broken.contains(&rule)
    }
}

/// What has been reached, in numbers.
#[derive(Debug)]
struct Explored {
    states: usize,
    at_rest: usize,
}

/// Every world that can be reached. `Err` tells the broken promise, and how it came to it.
fn explore(rules: Rules<'_>, luck: Luck) -> Result<Explored, String> {
    let first = World::new(luck);
    let mut known = HashMap::new();
    known.insert(first.clone(), 0_usize);
    // By number of the world: how it was reached first, and from which others it can be.
    let mut reached: Vec<(usize, &'static str)> = vec![(0, "begin")];
    let mut before: Vec<Vec<usize>> = vec![Vec::new()];
    let mut todo = VecDeque::from([(0, first)]);
    let mut good = Vec::new();
    let mut at_rest = 0;
    while let Some((number, world)) = todo.pop_front() {
        let judged = world.judge(rules);
        at_rest += usize::from(judged.map_err(|cause| told(&cause, &reached, number, ""))?);
        if world.is_at_rest() || world.has_stopped() {
            good.push(number);
        }
        for (step, next) in world.steps(rules) {
            let next = next.map_err(|cause| told(&cause, &reached, number, step))?;
            let fresh = known.len();
            let id = *known.entry(next.clone()).or_insert(fresh);
            if id == fresh {
                reached.push((number, step));
                before.push(Vec::new());
                todo.push_back((id, next));
            }
            before[id].push(number);
        }
    }
    let states = reached.len();
    let mut ends_well = vec![false; states];
    while let Some(number) = good.pop() {
        if !std::mem::replace(&mut ends_well[number], true) {
            good.extend(&before[number]);
        }
    }
    match ends_well.iter().position(|ends_well| !ends_well) {
        Some(number) => Err(told("STUCK", &reached, number, "")),
        None => Ok(Explored { states, at_rest }),
    }
}

/// What went wrong, and the steps that have led there.
fn told(
    cause: &str,
    reached: &[(usize, &'static str)],
    mut number: usize,
    step: &'static str,
) -> String {
    let mut steps = vec![step];
    while number > 0 {
        steps.push(reached[number].1);
        number = reached[number].0;
    }
    steps.reverse();
    format!("{cause}\n{}", steps.join(", "))
}

/// Nothing goes wrong.
const CALM: Luck = Luck {
    records: 2,
    ends: false,
    crashes: 0,
    thefts: 0,
    releases: 0,
    lates: 0,
    losses: 0,
    beats: 0,
    foreigners: 0,
    catalog: false,
};

/// One record, and the end of the shard behind it.
const ENDS: Luck = Luck {
    records: 1,
    ends: true,
    ..CALM
};

/// The same, and a catalog is told of where objects lie.
const TOLD: Luck = Luck {
    catalog: true,
    ..ENDS
};

const WORLDS: [(&str, Luck); 18] = [
    (
        "a zombie and a late write",
        Luck {
            thefts: 1,
            lates: 1,
            ..CALM
        },
    ),
    ("two thefts", Luck { thefts: 2, ..CALM }),
    (
        "a crash and a theft",
        Luck {
            crashes: 1,
            thefts: 1,
            ..CALM
        },
    ),
    ("late writes", Luck { lates: 2, ..CALM }),
    (
        "crashes and a late write",
        Luck {
            crashes: 2,
            lates: 1,
            ..CALM
        },
    ),
    (
        "hand-over",
        Luck {
            releases: 2,
            lates: 1,
            ..CALM
        },
    ),
    (
        "a vanished upload",
        Luck {
            thefts: 1,
            losses: 1,
            ..CALM
        },
    ),
    (
        "a zombie, a late write and the end",
        Luck {
            thefts: 1,
            lates: 1,
            ..ENDS
        },
    ),
    (
        "two late writes of a zombie",
        Luck {
            records: 1,
            thefts: 1,
            lates: 2,
            ..CALM
        },
    ),
    (
        "there and back",
        Luck {
            records: 1,
            thefts: 2,
            lates: 1,
            ..CALM
        },
    ),
    (
        "hand-over and a theft",
        Luck {
            releases: 1,
            thefts: 1,
            ..ENDS
        },
    ),
    (
        "heartbeats",
        Luck {
            records: 1,
            thefts: 1,
            beats: 2,
            lates: 1,
            ..CALM
        },
    ),
    (
        "a KCL worker",
        Luck {
            foreigners: 1,
            thefts: 1,
            ..ENDS
        },
    ),
    (
        "a KCL worker and a late write",
        Luck {
            foreigners: 1,
            lates: 1,
            ..ENDS
        },
    ),
    (
        "a catalog, a crash and a theft",
        Luck {
            crashes: 1,
            thefts: 1,
            ..TOLD
        },
    ),
    (
        "a catalog and late writes",
        Luck {
            crashes: 1,
            lates: 1,
            ..TOLD
        },
    ),
    (
        "a catalog and hand-overs",
        Luck {
            releases: 2,
            foreigners: 1,
            ..TOLD
        },
    ),
    (
        "a catalog and two places",
        Luck {
            records: 2,
            crashes: 1,
            ..TOLD
        },
    ),
];

#[test]
fn two_workers_keep_the_promises_in_every_interleaving() {
    let mut states = 0;
    for (name, luck) in WORLDS {
        let explored = explore(Rules::ALL, luck).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert!(explored.at_rest > 10, "{name}: {explored:?} says little");
        states += explored.states;
    }
    assert!(states > 200_000, "{states} worlds are few");
}

#[test]
fn leaving_a_rule_out_is_found() {
    let zombie = Luck {
        thefts: 1,
        lates: 1,
        ..CALM
    };
    let twice = Luck {
        thefts: 2,
        lates: 1,
        ..CALM
    };
    let crash = Luck {
        crashes: 1,
        lates: 1,
        ..CALM
    };
    for (broken, luck, promise) in [
        (Broken::FenceNotChecked, twice.clone(), "TRESPASS"),
        (
            Broken::OwnerNotChecked,
            Luck {
                foreigners: 1,
                ..CALM
            },
            "TRESPASS",
        ),
        (
            Broken::NumberNotChecked,
            Luck { lates: 1, ..CALM },
            "OVERTAKEN",
        ),
        (
            Broken::HeartbeatAsFence,
            Luck {
                beats: 1,
                lates: 1,
                ..CALM
            },
            "EVICTED",
        ),
        (Broken::TakeNotConditional, twice.clone(), "TRESPASS"),
        (
            Broken::TakeKnownByOwner,
            Luck {
                crashes: 1,
                lates: 2,
                ..CALM
            },
            "OVERTAKEN",
        ),
        (
            Broken::TakeKnownByName,
            Luck {
                lates: 1,
                foreigners: 1,
                ..CALM
            },
            "EVICTED",
        ),
        (Broken::ResumeWithoutRaising, crash.clone(), "OVERTAKEN"),
        (Broken::ResumeFromStaleRead, zombie.clone(), "OVERTAKEN"),
        (Broken::ForgetListAtTaking, crash.clone(), "LOST"),
        (Broken::PartsAfterCommit, crash.clone(), "TORN"),
        (Broken::BodyAfterCommit, crash.clone(), "LOST"),
        (Broken::BodyNamedByNumber, twice.clone(), "TORN"),
        (Broken::BodyFreedBeforeCommit, crash.clone(), "LOST"),
        (Broken::UnsettledDraftedAnew, crash.clone(), "OVERTAKEN"),
        (Broken::PublishUnlisted, crash, "DOUBLED"),
        (Broken::AddToListedUpload, zombie.clone(), "TORN"),
        (Broken::UnlistedAtSending, zombie.clone(), "LOST"),
        (Broken::AbortWhenFenced, zombie.clone(), "STOPPED"),
        (
            Broken::GoneTakenForPublished,
            Luck { losses: 1, ..CALM },
            "LOST",
        ),
        (Broken::GoneTakenForVanished, zombie, "STOPPED"),
        (Broken::DeletedBeforeListIsEmpty, ENDS, "LOST"),
        (Broken::DeletedBeforeRetention, ENDS, "DOUBLED"),
        (Broken::UnlistedWithoutPlace, TOLD, "UNTOLD"),
        (Broken::ToldAtSending, Luck { lates: 1, ..TOLD }, "UNTOLD"),
        (
            Broken::ForgetPlacesAtTaking,
            Luck { crashes: 1, ..TOLD },
            "UNTOLD",
        ),
        (Broken::DoneBeforeTold, TOLD, "UNTOLD"),
    ] {
        let rules = Rules {
            broken: &[broken],
            ..Rules::ALL
        };
        let found = explore(rules, luck).expect_err(&format!("{broken:?} was not found"));
        assert!(found.starts_with(promise), "{broken:?}: {found}");
    }
}

/// Fencing number, owner and checkpoint number guard each other, so that it takes two faults, or a
/// fault that undoes two guards, to hurt a record.
#[test]
fn what_fencing_keeps_from_happening_to_records_is_found() {
    let zombie = Luck {
        thefts: 1,
        lates: 1,
        ..CALM
    };
    let crash = Luck {
        crashes: 1,
        lates: 1,
        ..CALM
    };
    let doubled: [(&[Broken], Luck); 6] = [
        (&[Broken::NumberNotChecked], crash.clone()),
        (
            &[
                Broken::FenceNotChecked,
                Broken::OwnerNotChecked,
                Broken::NumberNotChecked,
            ],
            zombie.clone(),
        ),
        (
            &[Broken::ResumeFromStaleRead, Broken::NumberNotChecked],
            zombie.clone(),
        ),
        (
            &[Broken::ResumeWithoutRaising, Broken::NumberNotChecked],
            crash.clone(),
        ),
        (
            &[Broken::UnsettledDraftedAnew, Broken::SettledByNumber],
            crash,
        ),
        (
            &[Broken::TakeNotConditional, Broken::NumberNotChecked],
            zombie,
        ),
    ];
    for (broken, luck) in doubled {
        let rules = Rules {
            broken,
            judge_fencing: false,
        };
        let found = explore(rules, luck).expect_err(&format!("{broken:?} was not found"));
        let hurts = ["DOUBLED", "LOST", "TORN"]
            .iter()
            .any(|fault| found.starts_with(fault));
        assert!(hurts, "{broken:?}: {found}");
    }
}
