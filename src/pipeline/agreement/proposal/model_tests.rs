//! Daemons that propose at once, in every order of their steps, where replies get lost, what was sent lands late or never, and
//! daemons die and begin again from what the bucket has.
//!
//! What is explored is the state machine that production drives; the model is the bucket around it. Each rule is left out
//! once. That must be found, or the model says nothing.

use std::collections::{BTreeMap, HashSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::config::{ColumnSettings, FormatSettings, Sample};
use crate::format::{ParquetCompression, ParquetOptions, ParquetSettings};

/// What a daemon does, and what its records have, one set after the other.
#[derive(Clone)]
struct Daemon {
    learner: Learner,
    proposal: Proposal,
    seen: Vec<Columns>,
    /// How often it has begun again.
    life: u128,
}

#[derive(Clone)]
struct World {
    /// By number.
    bucket: BTreeMap<u32, Vec<u8>>,
    /// Puts without an answer that may land yet.
    late: Vec<(u32, Vec<u8>)>,
    daemons: Vec<Daemon>,
    /// So much may still go wrong.
    luck: u32,
    broken: Option<Broken>,
}

/// A rule that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// The bucket replaces nothing.
    Replaces,
    /// A version is there when the bucket has said so, and not when it was sent.
    BelievesWhatItSent,
    /// Where another has put the number, that one is there.
    BelievesItWon,
}

/// The stream.
const STREAM: &str = "clicks";

/// The columns that a daemon's config knows, and what its records have.
type Spec<'a> = (&'a str, &'a [&'a str]);

/// What may happen next.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// A daemon's step is carried out, and answered.
    Answered(usize),
    /// It is carried out, and the reply is lost.
    ReplyLost(usize),
    /// It is under way when the daemon gives it up.
    Late(usize),
    /// A daemon dies, and begins again.
    Dies(usize),
    /// What was under way lands.
    Lands(usize),
}

/// Rows of columns that are learned.
fn learned(known: &str) -> FormatSettings {
    FormatSettings::new(ParquetSettings {
        compression: ParquetCompression::None,
        options: ParquetOptions::default(),
        columns: ColumnSettings {
            sample: Some(Sample::default()),
            known: Some(known.to_owned()).filter(|known| !known.is_empty()),
            ..ColumnSettings::of("infer")
        },
    })
}

fn columns(text: &str) -> Columns {
    let columns = Some(text).filter(|text| !text.is_empty());
    columns.map_or_else(Columns::default, |text| Columns::parse(text).unwrap())
}

fn read(body: &[u8], number: u32) -> Result<SchemaVersion, String> {
    chain::read(body, number, STREAM).map_err(|misread| misread.cause)
}

impl World {
    /// Daemons whose records have these columns.
    fn new(daemons: &[Spec<'_>], luck: u32) -> Self {
        let begin = |(known, texts): &Spec<'_>| {
            let learner = Learner::of(&learned(known)).unwrap();
            let mut seen: Vec<Columns> = texts.iter().rev().map(|text| columns(text)).collect();
            let first = seen.pop().unwrap();
            Daemon {
                proposal: Proposal::new(
                    Wanted::Seen(learner.clone(), vec![first]),
                    None,
                    STREAM.into(),
                ),
                learner,
                seen,
                life: 0,
            }
        };
        Self {
            bucket: BTreeMap::new(),
            late: Vec::new(),
            daemons: daemons.iter().map(begin).collect(),
            luck,
            broken: None,
        }
    }

    fn step(&mut self, daemon: usize) -> Step {
        let claim = Uuid::from_u128(((daemon as u128) << 64) + self.daemons[daemon].life);
        self.daemons[daemon].proposal.step(claim, 7)
    }

    /// What a store does with a claim, whether or not its answer arrives.
    fn claim(&mut self, number: u32, body: &[u8]) -> bool {
        let found = self.bucket.entry(number).or_insert_with(|| body.to_vec());
        found == body
    }

    fn moves(&mut self) -> Vec<Move> {
        let mut moves: Vec<Move> = (0..self.late.len()).map(Move::Lands).collect();
        for daemon in 0..self.daemons.len() {
            let step = self.step(daemon);
            if matches!(step, Step::End(_)) {
                continue;
            }
            moves.push(Move::Answered(daemon));
            if self.luck > 0 {
                moves.push(Move::Dies(daemon));
                if matches!(step, Step::Put(..)) {
                    moves.extend([Move::ReplyLost(daemon), Move::Late(daemon)]);
                }
            }
        }
        moves
    }

    fn carry_out(&mut self, what: Move) -> Result<(), String> {
        match what {
            Move::Answered(daemon) => match self.step(daemon) {
                Step::Put(number, body) => {
                    let is_there = self.claim(number, &body);
                    let proposal = &mut self.daemons[daemon].proposal;
                    proposal.put(is_there || self.broken == Some(Broken::BelievesItWon));
                }
                Step::Read(number) => {
                    let found = self.bucket.get(&number);
                    let found = found.map(|body| read(body, number)).transpose()?;
                    self.daemons[daemon].proposal.read(found)?;
                }
                Step::End(_) => {}
                Step::Refuse(why) => return Err(format!("it refuses its own draft: {why}")),
            },
            Move::ReplyLost(daemon) | Move::Late(daemon) => {
                self.luck -= 1;
                if let Step::Put(number, body) = self.step(daemon) {
                    if matches!(what, Move::Late(_)) {
                        self.late.push((number, body));
                        if self.broken == Some(Broken::BelievesWhatItSent) {
                            self.daemons[daemon].proposal.put(true);
                        }
                    } else {
                        self.claim(number, &body);
                    }
                }
            }
            Move::Dies(daemon) => {
                self.luck -= 1;
                let newest = self.chain()?.pop();
                let daemon = &mut self.daemons[daemon];
                daemon.life += 1;
                daemon.proposal.newest = newest;
                daemon.proposal.stage = Stage::Comparing;
            }
            Move::Lands(index) => {
                let (number, body) = self.late.swap_remove(index);
                if self.broken == Some(Broken::Replaces) {
                    self.bucket.insert(number, body);
                } else {
                    self.claim(number, &body);
                }
            }
        }
        self.judge()
    }

    /// All versions in the bucket: none is missing, and each takes what those before it take.
    fn chain(&self) -> Result<Vec<SchemaVersion>, String> {
        let mut versions: Vec<SchemaVersion> = Vec::new();
        for (number, (key, body)) in (1..).zip(&self.bucket) {
            let version = read(body, *key)?;
            if *key != number {
                return Err(format!("version {number} is missing"));
            }
            chain::follows(versions.last(), &version)?;
            versions.push(version);
        }
        Ok(versions)
    }

    fn judge(&mut self) -> Result<(), String> {
        let chain = self.chain()?;
        for index in 0..self.daemons.len() {
            while let Some(seen) = self.judge_one(index, &chain)? {
                let daemon = &mut self.daemons[index];
                let newest = daemon.proposal.newest.clone();
                let wanted = Wanted::Seen(daemon.learner.clone(), vec![seen]);
                daemon.proposal = Proposal::new(wanted, newest, STREAM.into());
            }
        }
        Ok(())
    }

    /// What a daemon goes on with, which has got what it wanted.
    fn judge_one(
        &mut self,
        index: usize,
        chain: &[SchemaVersion],
    ) -> Result<Option<Columns>, String> {
        let step = self.step(index);
        let daemon = &mut self.daemons[index];
        let newest = daemon.proposal.newest.as_ref();
        if let Some(newest) = newest.filter(|newest| !chain.contains(newest)) {
            return Err(format!("{newest:?} is in force, and in no bucket"));
        }
        let Step::End(ended) = step else {
            return Ok(None);
        };
        let Wanted::Seen(learner, seen) = &daemon.proposal.wanted else {
            return Err("nobody follows a table".to_owned());
        };
        let left = learner.next(newest, seen, 7);
        match (ended, left) {
            (Ok(()), Ok(None)) => {}
            (Err(_), Err(_)) if newest.is_none() => {}
            (ended, left) => return Err(format!("ended {ended:?}, and {left:?} is left")),
        }
        Ok(daemon.seen.pop())
    }

    /// All that tells one state from another.
    fn key(&mut self) -> String {
        let mut late = self.late.clone();
        late.sort();
        let mut key = vec![format!("{:?}{late:?}{}", self.bucket, self.luck)];
        for daemon in 0..self.daemons.len() {
            let step = self.step(daemon);
            let Daemon { proposal, seen, .. } = &self.daemons[daemon];
            key.push(format!("{step:?}{:?}{}", proposal.newest, seen.len()));
        }
        key.concat()
    }
}

/// Every order of what may happen; how many states there are. The error says what broke, and after which moves.
fn explore(world: World) -> Result<usize, String> {
    let (mut known, mut open) = (HashSet::new(), vec![(world, Vec::new())]);
    while let Some((mut world, path)) = open.pop() {
        if !known.insert(world.key()) {
            continue;
        }
        for next in world.moves() {
            let (mut after, mut path) = (world.clone(), path.clone());
            path.push(next);
            if let Err(broken) = after.carry_out(next) {
                return Err(format!("{broken}, after {path:?}"));
            }
            open.push((after, path));
        }
    }
    Ok(known.len())
}

/// Daemons, and how many states they have at least.
const WORLDS: [(&[Spec<'_>], usize); 9] = [
    (
        &[
            ("", &["a bigint", "b boolean"]),
            ("", &["a double", "c date"]),
        ],
        2729,
    ),
    (
        &[
            ("", &["a bigint", "a string"]),
            ("", &["a bigint", "a double"]),
        ],
        1357,
    ),
    (
        &[
            ("", &["u struct<x:bigint>", "u struct<y:date>"]),
            ("", &["u bigint", "u struct<x:double>"]),
        ],
        1357,
    ),
    (&[("", &["", "a date"]), ("", &["a bigint"])], 337),
    (&[("", &["", ""]), ("", &["", "l array<bigint>"])], 110),
    (
        &[
            ("", &["a bigint"]),
            ("", &["b bigint"]),
            ("", &["a double"]),
        ],
        3442,
    ),
    // The config of one knows types that no record shows; that of the other, of the day before, does not.
    (
        &[
            ("n int, f float", &["n bigint, f double"]),
            ("", &["n bigint, f bigint", "n double"]),
        ],
        1035,
    ),
    (
        &[
            ("d decimal(4,1), x binary", &["d double, x string"]),
            ("x varchar(2)", &["d string, x string", "x bigint"]),
        ],
        403,
    ),
    (
        &[
            ("v varchar(2), s smallint", &["s bigint", "v string"]),
            ("v char(3), s float", &["v string", "s bigint"]),
        ],
        497,
    ),
];

#[test]
fn daemons_agree_on_one_chain_of_wider_versions_in_every_interleaving() {
    for (daemons, least) in WORLDS {
        let states = explore(World::new(daemons, 2));
        let states = states.unwrap_or_else(|broken| panic!("{daemons:?}: {broken}"));
        assert!(states >= least, "{daemons:?}: {states} states");
    }
}

#[test]
fn each_rule_that_is_left_out_is_found() {
    for (broken, told) in [
        (Broken::Replaces, "in no bucket"),
        (Broken::BelievesWhatItSent, "in no bucket"),
        (Broken::BelievesItWon, "in no bucket"),
    ] {
        let mut world = World::new(WORLDS[0].0, 2);
        world.broken = Some(broken);
        let found = explore(world).unwrap_err();
        assert!(found.contains(told), "{broken:?}: {found}");
    }
}

fn kind() -> impl Strategy<Value = (&'static str, &'static str)> {
    let names = select(&["a", "b", "c", "d"][..]);
    let kinds = ["bigint", "double", "date", "timestamp", "boolean", "string"];
    (names, select(kinds.to_vec()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whoever_reads_which_record_when_the_columns_are_the_same_in_the_end(
        seen in vec(kind(), 1..10),
        readers in vec(any::<Index>(), 10),
        order in vec(any::<Index>(), 400),
    ) {
        let texts: Vec<String> = seen.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
        let mut daemons: Vec<Vec<&str>> = vec![Vec::new(); 3];
        for (text, reader) in texts.iter().zip(&readers) {
            daemons[reader.index(3)].push(text);
        }
        let daemons = daemons.iter().filter(|one| !one.is_empty());
        let daemons: Vec<Spec<'_>> = daemons.map(|one| ("", &**one)).collect();
        let mut world = World::new(&daemons, 0);
        for next in order {
            let moves = world.moves();
            if moves.is_empty() {
                break;
            }
            world.carry_out(moves[next.index(moves.len())]).map_err(TestCaseError::fail)?;
        }
        prop_assert!(world.moves().is_empty(), "they never end");
        let mut alone = columns(&texts[0]);
        for text in &texts[1..] {
            alone = alone.widened(&columns(text)).map_or(alone, |(wider, _)| wider);
        }
        let sorted = |columns: &Columns| {
            let text = columns.to_config();
            let mut columns: Vec<String> = text.split(", ").map(str::to_owned).collect();
            columns.sort();
            columns
        };
        let ended = world.step(0);
        prop_assert_eq!(ended, Step::End(Ok(())));
        let agreed = world.chain().unwrap().pop().unwrap();
        prop_assert_eq!(sorted(&columns(&agreed.columns)), sorted(&alone));
    }
}
