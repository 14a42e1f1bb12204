//! Daemons that follow one table, in every order of their steps: the table changes under way, answers of the catalog are
//! long under way, replies of the bucket get lost, and daemons die.
//!
//! What is explored is the state machine that production drives; the model is the catalog and the bucket around it. The chain
//! must have the columns of the table in the order in which the table has had them, and in the end the newest. Each rule is
//! left out once: that must be found.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::super::table::TableWanted;
use super::*;
use crate::schema::SchemaVersion;

/// What the table has had, one after the other. The last but one has the columns of the first again.
const COLUMNS: [&str; 4] = ["id bigint", "id string, n int", "id bigint", "n double"];

const STREAM: &str = "clicks";

/// What the catalog says of a version beside its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// Its number. Answers may be as old as they like.
    Number,
    /// When the table was made: each time it was dropped before.
    Made,
    /// Nothing.
    Nothing,
}

/// A rule that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// An answer is older than what was not known when it was asked for.
    TakesWhatMayBeOlder,
    /// A later number is a later version.
    ComparesNoNumbers,
}

#[derive(Clone)]
struct Daemon {
    /// The newest version that it knows.
    newest: Option<SchemaVersion>,
    /// Which of the columns the catalog has said, and what was known before it was asked: under way.
    answer: Option<(usize, u32)>,
    proposal: Option<Proposal>,
    /// So often it will ask.
    asks: u32,
    life: u128,
}

#[derive(Clone)]
struct World {
    says: Says,
    broken: Option<Broken>,
    bucket: BTreeMap<u32, Vec<u8>>,
    late: Vec<(u32, Vec<u8>)>,
    /// Which of the columns the table has, and which it will have in the end.
    table: usize,
    last: usize,
    daemons: Vec<Daemon>,
    luck: u32,
}

#[derive(Clone, Copy, Debug)]
enum Move {
    /// Somebody changes the table.
    Changes,
    /// The catalog is asked, and says what it has.
    Asks(usize),
    /// The answer arrives.
    Hears(usize),
    /// A step is carried out, and answered.
    Answered(usize),
    /// It is carried out, and the reply is lost.
    ReplyLost(usize),
    /// It is under way when the daemon gives it up.
    Late(usize),
    Dies(usize),
    /// What was under way lands.
    Lands(usize),
}

impl World {
    fn new(says: Says, (daemons, asks, luck, last): (usize, u32, u32, usize)) -> Self {
        let daemon = Daemon {
            newest: None,
            answer: None,
            proposal: None,
            asks,
            life: 0,
        };
        Self {
            says,
            broken: None,
            bucket: BTreeMap::new(),
            late: Vec::new(),
            table: 0,
            last,
            daemons: vec![daemon; daemons],
            luck,
        }
    }

    fn answer(&self, index: usize) -> (Columns, TableVersion) {
        let number = match self.says {
            Says::Number => Some(index.to_string()),
            Says::Made => Some("0".to_owned()),
            Says::Nothing => None,
        };
        let made = i64::try_from(index).unwrap();
        let version = TableVersion {
            name: "web.hits".into(),
            version: number,
            created_ms: Some(made).filter(|_| self.says == Says::Made),
        };
        (columns(COLUMNS[index]), version)
    }

    fn step(&mut self, daemon: usize) -> Option<Step> {
        let claim = Uuid::from_u128(((daemon as u128) << 64) + self.daemons[daemon].life);
        let proposal = self.daemons[daemon].proposal.as_mut()?;
        Some(proposal.step(claim, 7))
    }

    fn claim(&mut self, number: u32, body: &[u8]) -> bool {
        let found = self.bucket.entry(number).or_insert_with(|| body.to_vec());
        found == body
    }

    fn moves(&mut self) -> Vec<Move> {
        let mut moves: Vec<Move> = (0..self.late.len()).map(Move::Lands).collect();
        if self.table < self.last {
            moves.push(Move::Changes);
        }
        for daemon in 0..self.daemons.len() {
            let step = self.step(daemon);
            let Daemon { answer, asks, .. } = &self.daemons[daemon];
            match step {
                None if answer.is_some() => moves.push(Move::Hears(daemon)),
                None if *asks > 0 => moves.push(Move::Asks(daemon)),
                None => {}
                Some(ref step) => {
                    moves.push(Move::Answered(daemon));
                    if self.luck > 0 && matches!(step, Step::Put(..)) {
                        moves.extend([Move::ReplyLost(daemon), Move::Late(daemon)]);
                    }
                }
            }
            if self.luck > 0 && self.daemons[daemon].asks > 0 {
                moves.push(Move::Dies(daemon));
            }
        }
        moves
    }

    fn carry_out(&mut self, what: Move) -> Result<(), String> {
        match what {
            Move::Changes => self.table += 1,
            Move::Asks(index) => {
                let daemon = &mut self.daemons[index];
                daemon.asks -= 1;
                let known = daemon.newest.as_ref().map_or(0, |newest| newest.version);
                daemon.answer = Some((self.table, known));
            }
            Move::Hears(index) => self.hear(index),
            Move::Answered(daemon) => match self.step(daemon) {
                Some(Step::Put(number, body)) => {
                    let is_there = self.claim(number, &body);
                    self.proposal(daemon).put(is_there);
                }
                Some(Step::Read(number)) => {
                    let found = self.bucket.get(&number);
                    let found = found.map(|body| read(body, number)).transpose()?;
                    self.proposal(daemon).read(found)?;
                }
                Some(Step::End(ended)) => {
                    ended?;
                    self.daemons[daemon].proposal = None;
                }
                Some(Step::Refuse(why)) => return Err(format!("it refuses its own draft: {why}")),
                None => {}
            },
            Move::ReplyLost(daemon) | Move::Late(daemon) => {
                self.luck -= 1;
                if let Some(Step::Put(number, body)) = self.step(daemon) {
                    if matches!(what, Move::Late(_)) {
                        self.late.push((number, body));
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
                daemon.newest = newest;
                (daemon.answer, daemon.proposal) = (None, None);
            }
            Move::Lands(index) => {
                let (number, body) = self.late.swap_remove(index);
                self.claim(number, &body);
            }
        }
        self.judge()
    }

    /// Begins with what has been heard.
    fn hear(&mut self, index: usize) {
        let (said, mut known) = self.daemons[index].answer.take().unwrap();
        if self.broken == Some(Broken::TakesWhatMayBeOlder) {
            known = u32::MAX;
        }
        let mut answer = self.answer(said);
        if self.broken == Some(Broken::ComparesNoNumbers) {
            (answer.1.version, known) = (None, u32::MAX);
        }
        let daemon = &mut self.daemons[index];
        let wanted = TableWanted::of_a_model(answer, known, daemon.newest.clone());
        let proposal = Proposal::new(Wanted::Table(wanted), daemon.newest.clone(), STREAM.into());
        daemon.proposal = Some(proposal);
    }

    fn proposal(&mut self, daemon: usize) -> &mut Proposal {
        self.daemons[daemon].proposal.as_mut().unwrap()
    }

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

    /// The chain has what the table has had, in that order; each daemon knows what is in it.
    fn judge(&mut self) -> Result<(), String> {
        let chain = self.chain()?;
        let mut had = 0;
        for version in &chain {
            let rest = COLUMNS[had..=self.table].iter();
            let next = rest.clone().position(|columns| *columns == version.columns);
            let Some(next) = next else {
                return Err(format!("the chain goes back: {chain:?}"));
            };
            had += next + 1;
        }
        for daemon in &mut self.daemons {
            let newest = daemon.proposal.as_ref().and_then(Proposal::newest);
            if let Some(newest) = newest {
                daemon.newest = Some(newest.clone());
            }
            if let Some(newest) = daemon.newest.as_ref().filter(|of| !chain.contains(of)) {
                return Err(format!("{newest:?} is in force, and in no bucket"));
            }
        }
        Ok(())
    }

    /// When nothing moves any more each daemon asks twice, one after the other: then all have what the table has, and nothing
    /// is put after that.
    fn settle(mut self) -> Result<(), String> {
        let mut lengths = Vec::new();
        for round in 0..3 {
            for daemon in 0..self.daemons.len() {
                self.daemons[daemon].asks = 1;
                self.carry_out(Move::Asks(daemon))?;
                self.carry_out(Move::Hears(daemon))?;
                while self.daemons[daemon].proposal.is_some() {
                    self.carry_out(Move::Answered(daemon))?;
                }
                let known = self.daemons[daemon].newest.as_ref();
                let columns = known.map(|newest| &*newest.columns);
                if round > 0 && columns != Some(COLUMNS[self.table]) {
                    return Err(format!("{columns:?} stay in force"));
                }
            }
            lengths.push(self.bucket.len());
        }
        if lengths[1] != lengths[2] {
            return Err("they go on putting versions".into());
        }
        Ok(())
    }

    /// All that tells one state from another.
    fn key(&mut self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut late = self.late.clone();
        late.sort();
        (&self.bucket, late, self.luck, self.table).hash(&mut hasher);
        for index in 0..self.daemons.len() {
            match self.step(index) {
                Some(Step::Put(number, body)) => (number, body).hash(&mut hasher),
                step => format!("{step:?}").hash(&mut hasher),
            }
            let Daemon {
                newest,
                answer,
                asks,
                proposal,
                ..
            } = &self.daemons[index];
            (newest, answer, asks).hash(&mut hasher);
            if let Some(Wanted::Table(wanted)) = proposal.as_ref().map(|of| &of.wanted) {
                format!("{wanted:?}").hash(&mut hasher);
            }
        }
        hasher.finish()
    }
}

fn columns(text: &str) -> Columns {
    Columns::parse(text).unwrap()
}

fn read(body: &[u8], number: u32) -> Result<SchemaVersion, String> {
    chain::read(body, number, STREAM).map_err(|misread| misread.cause)
}

/// Every order of what may happen; how many states there are. The error says what broke, and after which moves.
fn explore(world: World) -> Result<usize, String> {
    let (mut known, mut open) = (HashSet::new(), vec![(world, Vec::new())]);
    while let Some((mut world, path)) = open.pop() {
        if !known.insert(world.key()) {
            continue;
        }
        let moves = world.moves();
        if moves.is_empty() {
            world
                .settle()
                .map_err(|broken| format!("{broken}, after {path:?}"))?;
            continue;
        }
        for next in moves {
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

#[test]
fn daemons_follow_a_table_in_its_order_in_every_interleaving() {
    for says in [Says::Number, Says::Made, Says::Nothing] {
        for (world, least) in [
            ((2, 2, 1, 1), 1000),
            ((2, 2, 0, 3), 1000),
            ((3, 1, 0, 2), 1000),
        ] {
            let states = explore(World::new(says, world));
            let states = states.unwrap_or_else(|broken| panic!("{says:?}, {world:?}: {broken}"));
            println!("{says:?}, {world:?}: {states} states");
            assert!(states >= least, "{says:?}, {world:?}: {states} states");
        }
    }
}

#[test]
fn each_rule_that_is_left_out_is_found() {
    for (broken, says) in [
        (Broken::TakesWhatMayBeOlder, Says::Nothing),
        (Broken::ComparesNoNumbers, Says::Number),
    ] {
        let mut world = World::new(says, (2, 2, 0, 3));
        world.broken = Some(broken);
        let found = explore(world).unwrap_err();
        assert!(found.contains("the chain goes back"), "{broken:?}: {found}");
    }
}
