//! Parts of open batches, freed bytes, late writes and mended objects: every interleaving in a small world.
//!
//! Records go one after the other into one batch at a time, each as a raw block of its own. Encoding
//! a block is not deterministic: done again after a crash it may give other bytes. A block is a part.
//! The process may die between any two steps, and what it sent may land long after; the store may
//! lose an upload, the disk a sealed block, which is left out then. Breaking a rule must be found, or the
//! model says nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

/// Which rule is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// C1: parts are sent from what is encoded, checkpointed or not.
    PartBeforeBytes,
    /// C1: parts are sent to an upload that no checkpoint names.
    PartBeforeUpload,
    /// C1: objects are sent when they are sealed.
    PublishBeforeCheckpoint,
    /// C3: raw bytes are freed when they are encoded.
    FreeAtEncoding,
    /// C3: an object's bytes are freed when it is visible.
    FreeAtPublication,
    /// C3: bytes are freed when their part has arrived.
    FreeAtPart,
    /// C1: a mended object is sent when it is mended.
    PublishBeforeMendIsDurable,
    /// C3: damaged bytes are freed when their object is mended.
    FreeAtMend,
    /// C4: a mended object is another one, with an id and a key of its own.
    MendUnderNewId,
    /// C4: a mended object does not know what it was.
    MendForgets,
    /// C5: a mended object goes on with the upload of what it was.
    MendKeepsUpload,
}

/// A block: its record, and the bytes that encoding gave it; `None` while it is raw.
type Block = (u8, Option<u8>);
/// Where the bytes of a block lie: written once, so its batch and what it is name it.
type Extent = (u8, Block);

/// A batch, open or sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Object {
    id: u8,
    blocks: Vec<Block>,
    upload: Option<u8>,
    /// What it was before each mend.
    was: Vec<Vec<Block>>,
}

/// What a checkpoint holds; the process has a copy that runs ahead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    frontier: u8,
    open: Option<Object>,
    sealed: Vec<Object>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct World {
    durable: State,
    now: State,
    freed: BTreeSet<Extent>,
    /// Extents that the next checkpoint may free.
    dead: Vec<Extent>,
    /// Uploads that the store knows, with the parts that have arrived.
    uploads: BTreeMap<u8, BTreeMap<usize, Block>>,
    /// Parts on their way: upload, number, bytes.
    on_their_way: BTreeSet<(u8, usize, Block)>,
    /// Objects on their way, whole: id, bytes, and the upload that they complete.
    late: BTreeSet<(u8, Vec<Block>, Option<u8>)>,
    visible: BTreeMap<u8, Vec<Block>>,
    /// Extents that the disk has damaged.
    rotten: BTreeSet<Extent>,
    /// Records that were set aside.
    aside: BTreeSet<u8>,
    /// Ids are drawn at random: a crash does not bring one back.
    next_id: u8,
    next_upload: u8,
    odds: Odds,
}

/// So often each misfortune may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Odds {
    crashes: u8,
    losses: u8,
    rots: u8,
    delays: u8,
    /// In so many ways a block may be encoded.
    ways: u8,
}

impl Object {
    fn extents(&self) -> impl Iterator<Item = Extent> {
        self.blocks.iter().map(|block| (self.id, *block))
    }
}

const RECORDS: u8 = 2;
const UPLOADS_MAX: u8 = 3;

impl World {
    /// Every world that one step makes of this one; `Err` says which promise is broken.
    fn steps(&self, broken: Broken) -> Result<Vec<Self>, String> {
        let mut next = Vec::new();
        self.apply_and_encode(broken, &mut next)?;
        self.checkpoint(&mut next);
        self.fill(broken, &mut next)?;
        self.land(broken, &mut next);
        let sealed = match broken {
            Broken::PublishBeforeCheckpoint | Broken::PublishBeforeMendIsDurable => {
                &self.now.sealed
            }
            _ => &self.durable.sealed,
        };
        for object in sealed {
            let is_rotten = object.extents().any(|extent| self.rotten.contains(&extent));
            if is_rotten && !self.visible.contains_key(&object.id) {
                self.mend(object, broken, &mut next)?;
            } else {
                self.publish(object, broken, &mut next)?;
            }
        }
        self.misfortune(&mut next);
        Ok(next)
    }

    fn read(&self, extent: Extent) -> Result<Block, String> {
        if self.freed.contains(&extent) {
            return Err(format!("LOST: {extent:?} is read after it was freed"));
        }
        Ok(extent.1)
    }

    fn apply_and_encode(&self, broken: Broken, next: &mut Vec<Self>) -> Result<(), String> {
        if self.now.frontier < RECORDS {
            let mut world = self.clone();
            let now = &mut world.now;
            now.frontier += 1;
            if now.open.is_none() {
                world.next_id += 1;
                let id = world.next_id;
                now.open = Some(Object {
                    id,
                    ..Object::default()
                });
            }
            let open = now.open.as_mut().unwrap();
            open.blocks.push((now.frontier, None));
            next.push(world);
        }
        let Some(open) = &self.now.open else {
            return Ok(());
        };
        for (index, block) in open.blocks.iter().enumerate() {
            if block.1.is_some() {
                continue;
            }
            let (record, _) = self.read((open.id, *block))?;
            for bytes in 0..self.odds.ways {
                let mut world = self.clone();
                world.now.open.as_mut().unwrap().blocks[index] = (record, Some(bytes));
                match broken {
                    Broken::FreeAtEncoding => world.freed.extend([(open.id, *block)]),
                    _ => world.dead.push((open.id, *block)),
                }
                next.push(world);
            }
        }
        if open.blocks.iter().all(|block| block.1.is_some()) {
            let mut world = self.clone();
            world.now.sealed.extend(world.now.open.take());
            next.push(world);
        }
        Ok(())
    }

    fn checkpoint(&self, next: &mut Vec<Self>) {
        if self.now != self.durable || !self.dead.is_empty() {
            let mut world = self.clone();
            world.durable = world.now.clone();
            world.freed.extend(world.dead.drain(..));
            next.push(world);
        }
    }

    /// Begins the upload of the open batch, or sends its parts.
    fn fill(&self, broken: Broken, next: &mut Vec<Self>) -> Result<(), String> {
        let (Some(open), Some(named)) = (&self.now.open, &self.durable.open) else {
            return Ok(());
        };
        if open.id != named.id {
            return Ok(());
        }
        if open.upload.is_none() && named.upload.is_none() && named.blocks[0].1.is_some() {
            self.begin(next);
        }
        let upload = match broken {
            Broken::PartBeforeUpload => open.upload,
            _ => open.upload.filter(|_| open.upload == named.upload),
        };
        let from = match broken {
            Broken::PartBeforeBytes => open,
            _ => named,
        };
        let Some(upload) = upload else { return Ok(()) };
        let head = from.blocks.iter().take_while(|block| block.1.is_some());
        for (number, block) in head.enumerate() {
            let arrived = self
                .uploads
                .get(&upload)
                .and_then(|parts| parts.get(&number));
            if arrived.is_none() && !self.on_their_way.contains(&(upload, number, *block)) {
                let mut world = self.clone();
                let bytes = self.read((from.id, *block))?;
                world.on_their_way.insert((upload, number, bytes));
                next.push(world);
            }
        }
        Ok(())
    }

    fn begin(&self, next: &mut Vec<Self>) {
        let mut world = self.clone();
        if let (Some(open), true) = (&mut world.now.open, self.next_upload < UPLOADS_MAX) {
            world.next_upload += 1;
            open.upload = Some(world.next_upload);
            world.uploads.insert(world.next_upload, BTreeMap::new());
            next.push(world);
        }
    }

    /// What is on its way arrives, whoever sent it.
    fn land(&self, broken: Broken, next: &mut Vec<Self>) {
        for part in &self.on_their_way {
            let mut world = self.clone();
            world.on_their_way.remove(part);
            let (upload, number, bytes) = *part;
            if let Some(parts) = world.uploads.get_mut(&upload) {
                parts.insert(number, bytes);
                if broken == Broken::FreeAtPart {
                    let open = self.durable.open.iter().chain(&self.durable.sealed);
                    let of = open.filter(|object| object.upload == Some(upload));
                    world.freed.extend(of.map(|object| (object.id, bytes)));
                }
            }
            next.push(world);
        }
        for late in &self.late {
            let mut world = self.clone();
            world.late.remove(late);
            let (id, bytes, upload) = late;
            let has_upload = upload.is_none_or(|upload| world.uploads.contains_key(&upload));
            if has_upload && !world.visible.contains_key(id) {
                if let Some(upload) = upload {
                    world.uploads.remove(upload);
                }
                world.visible.insert(*id, bytes.clone());
            }
            next.push(world);
        }
    }

    /// Sets the damaged blocks of an object aside and goes on without them. Its upload is given up.
    fn mend(&self, object: &Object, broken: Broken, next: &mut Vec<Self>) -> Result<(), String> {
        for extent in object.extents() {
            self.read(extent)?;
        }
        let Some(at) = self.now.sealed.iter().position(|now| now == object) else {
            return Ok(()); // it is mended already, and the checkpoint is yet to come
        };
        let mut world = self.clone();
        let mut mended = world.now.sealed.remove(at);
        mended.was.push(mended.blocks.clone());
        let is_gone = |block: &Block| self.rotten.contains(&(object.id, *block));
        mended.blocks.retain(|block| !is_gone(block));
        let gone = object.blocks.iter().filter(|block| is_gone(block));
        world.aside.extend(gone.clone().map(|block| block.0));
        let freed = gone.map(|block| (object.id, *block));
        match broken {
            Broken::FreeAtMend => world.freed.extend(freed),
            _ => world.dead.extend(freed),
        }
        if let Some(upload) = mended.upload.filter(|_| broken != Broken::MendKeepsUpload) {
            mended.upload = None;
            world.uploads.remove(&upload);
        }
        match broken {
            Broken::MendForgets => mended.was.clear(),
            Broken::MendUnderNewId => {
                (world.next_id, mended.id) = (self.next_id + 1, self.next_id + 1);
            }
            _ => {}
        }
        if !mended.blocks.is_empty() {
            world.now.sealed.push(mended);
        }
        next.push(world);
        Ok(())
    }

    /// Sends a sealed object, or records that it is visible.
    fn publish(&self, object: &Object, broken: Broken, next: &mut Vec<Self>) -> Result<(), String> {
        if let Some(visible) = self.visible.get(&object.id) {
            if *visible != object.blocks && !object.was.contains(visible) {
                return Err(format!("TORN: {visible:?} is visible for {object:?}"));
            }
            let is_listed = |listed: &Object| listed.id == object.id;
            if self.now.sealed.iter().any(is_listed) {
                let mut world = self.clone();
                world.now.sealed.retain(|listed| !is_listed(listed));
                match broken {
                    Broken::FreeAtPublication => world.freed.extend(object.extents()),
                    _ => world.dead.extend(object.extents()),
                }
                next.push(world);
            }
            for extent in object.extents() {
                self.read(extent)?; // another attempt reads before it asks
            }
            return Ok(());
        }
        let mut world = self.clone();
        let arrived = object.upload.map(|upload| world.uploads.remove(&upload));
        if arrived == Some(None) {
            // It has vanished: forgotten in a checkpoint, then the object is sent without it.
            for listed in &mut world.now.sealed {
                listed.upload = listed.upload.filter(|_| listed.id != object.id);
            }
        } else {
            // The parts that have arrived are taken as they are; the others are sent.
            let arrived = arrived.flatten().unwrap_or_default();
            let mut bytes = Vec::new();
            for (number, extent) in object.extents().enumerate() {
                bytes.push(match arrived.get(&number) {
                    Some(part) => *part,
                    None => self.read(extent)?,
                });
            }
            if self.odds.delays > 0 {
                let mut world = self.clone();
                world.odds.delays -= 1;
                world.late.insert((object.id, bytes.clone(), object.upload));
                next.push(world);
            }
            world.visible.insert(object.id, bytes);
        }
        next.push(world);
        Ok(())
    }

    /// The process dies, the disk loses a block, or the store an upload.
    fn misfortune(&self, next: &mut Vec<Self>) {
        let sealed = self.durable.sealed.iter().flat_map(Object::extents);
        for extent in sealed.filter(|extent| !self.rotten.contains(extent)) {
            if self.odds.rots > 0 {
                let mut world = self.clone();
                world.odds.rots -= 1;
                world.rotten.insert(extent);
                next.push(world);
            }
        }
        if self.odds.crashes > 0 {
            let mut world = self.clone();
            world.odds.crashes -= 1;
            world.now = world.durable.clone();
            world.dead.clear();
            next.push(world);
        }
        for upload in self.uploads.keys() {
            if self.odds.losses > 0 {
                let mut world = self.clone();
                world.odds.losses -= 1;
                world.uploads.remove(upload);
                let open = world
                    .now
                    .open
                    .as_mut()
                    .filter(|open| open.upload == Some(*upload));
                if let Some(open) = open {
                    open.upload = None; // a part was refused
                }
                next.push(world);
            }
        }
    }

    /// At rest, each record is in one object or was set aside, and no upload holds bytes that nobody knows of.
    fn judge(&self) -> Result<bool, String> {
        let at_rest = self.now == self.durable
            && self.now.frontier == RECORDS
            && self.now.open.is_none()
            && self.now.sealed.is_empty();
        let mut records: Vec<u8> = self
            .visible
            .values()
            .flatten()
            .map(|block| block.0)
            .collect();
        let visible = records.len();
        records.sort_unstable();
        records.dedup();
        let doubled = visible - records.len();
        let met = |record: u8| records.contains(&record) || self.aside.contains(&record);
        if at_rest && (doubled > 0 || !(1..=RECORDS).all(met)) {
            return Err(format!("LOST OR DOUBLED: {:?}", self.visible));
        }
        if at_rest && self.uploads.values().any(|parts| !parts.is_empty()) {
            return Err(format!("LEAKED: {:?}", self.uploads));
        }
        Ok(at_rest)
    }
}

/// Every world that can be reached; the number of them in which all has come to rest.
fn explore(broken: Broken, odds: Odds) -> Result<usize, String> {
    let first = World {
        odds,
        ..World::default()
    };
    let (mut seen, mut at_rest) = (HashSet::from([first.clone()]), 0);
    let mut todo = VecDeque::from([first]);
    while let Some(world) = todo.pop_front() {
        at_rest += usize::from(world.judge()?);
        for next in world.steps(broken)? {
            if seen.insert(next.clone()) {
                todo.push_back(next);
            }
        }
    }
    Ok(at_rest)
}

const fn odds(crashes: u8, losses: u8) -> Odds {
    Odds {
        crashes,
        losses,
        rots: 0,
        delays: 0,
        ways: 2,
    }
}

/// One block is damaged, and one publication arrives late. How blocks were encoded matters no more.
const DAMAGED: Odds = Odds {
    rots: 1,
    delays: 1,
    ways: 1,
    ..odds(1, 0)
};

#[test]
fn parts_of_open_batches_keep_the_promises_in_every_interleaving() {
    for (crashes, losses) in [(1, 1), (2, 0)] {
        let at_rest = explore(Broken::Nothing, odds(crashes, losses)).unwrap();
        assert!(at_rest > 100, "{at_rest} worlds at rest say little");
    }
}

#[test]
fn mended_objects_keep_the_promises_in_every_interleaving() {
    let at_rest = explore(Broken::Nothing, DAMAGED).unwrap();
    assert!(at_rest > 100, "{at_rest} worlds at rest say little");
}

#[test]
fn breaking_a_rule_about_parts_and_freed_bytes_is_found() {
    for (broken, promise) in [
        (Broken::PartBeforeBytes, "TORN"),
        (Broken::PartBeforeUpload, "LEAKED"),
        (Broken::PublishBeforeCheckpoint, "TORN"),
        (Broken::FreeAtEncoding, "LOST"),
        (Broken::FreeAtPublication, "LOST"),
        (Broken::FreeAtPart, "LOST"),
    ] {
        finds(broken, odds(1, 1), promise);
    }
}

#[test]
fn breaking_a_rule_about_mended_objects_is_found() {
    for (broken, promise) in [
        (Broken::PublishBeforeMendIsDurable, "TORN"),
        (Broken::FreeAtMend, "LOST"),
        (Broken::MendUnderNewId, "LOST OR DOUBLED"),
        (Broken::MendForgets, "TORN"),
        (Broken::MendKeepsUpload, "TORN"),
    ] {
        finds(broken, DAMAGED, promise);
    }
}

fn finds(broken: Broken, odds: Odds, promise: &str) {
    let found = explore(broken, odds).expect_err(&format!("{broken:?} was not found"));
    assert!(found.starts_with(promise), "{broken:?}: {found}");
}
