//! The small world around the protocol, and the steps that it can take. What attempts meet at the destination is in
//! `attempts`, how checkpoints are made in `committing`, and what is other where daemons share the stream in `sharing`.

use super::committing::{Store, Writing};
use super::sharing::Reading;
use super::*;

/// Records that the source has.
pub(super) const RECORDS: u64 = 2;
/// What the files have more that hold encoded bytes, of each way.
const WAY: u32 = 10_000;
/// What ids of error batches begin with.
const ERRORS: u8 = 100;
/// Uploads that may be begun; where the stream is shared every object needs one.
const UPLOADS_MAX: u8 = 3;
const SHARED_UPLOADS_MAX: u8 = 5;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) store: Store,
    /// Records up to there are gone from the source.
    pub(super) released: u64,
    pub(super) freed: BTreeSet<Extent>,
    /// Uploads that the destination knows, with the parts that have arrived.
    pub(super) uploads: BTreeMap<String, BTreeMap<usize, Extent>>,
    /// Parts on their way: upload, number, bytes.
    pub(super) on_their_way: BTreeSet<(String, usize, Extent)>,
    /// Objects on their way, whole: id, bytes, and the upload that they complete.
    pub(super) late: BTreeSet<(Uuid, Vec<Extent>, Option<String>)>,
    pub(super) visible: BTreeMap<Uuid, Vec<Extent>>,
    /// Records of visible objects that their store has refused.
    pub(super) refused: BTreeMap<Uuid, u64>,
    /// Extents that the disk has damaged.
    pub(super) rotten: BTreeSet<Extent>,
    /// Records that were set aside.
    pub(super) aside: BTreeSet<u64>,
    /// Stores where the epoch is claimed.
    pub(super) claimed: BTreeSet<&'static str>,
    /// Ids are drawn at random: a crash does not bring one back.
    pub(super) ids: u8,
    pub(super) begun: u8,
    pub(super) odds: Odds,

    // What dies with the process.
    pub(super) protocol: Protocol,
    pub(super) applied: u64,
    pub(super) batches: Vec<OpenBatch>,
    /// Refused records that are in no batch yet, though their object is published: where that rule is broken.
    pub(super) owed: BTreeMap<Uuid, u64>,
    /// Objects whose refused records are in a batch already: where that rule is broken.
    pub(super) failed: BTreeSet<Uuid>,
    /// What the last checkpoint allows to be filled.
    pub(super) named: Vec<Named>,
    /// A checkpoint on its way to the store.
    pub(super) writing: Option<Writing>,
    /// One that the store has, and the process does not know of.
    pub(super) written: Option<Writing>,
    /// Of a shared stream: a block that is being read to be encoded.
    pub(super) reading: Option<Reading>,
    /// Objects that the spool has, and the process does not know of.
    pub(super) spilled: Vec<SealedObject>,
    /// A checkpoint whose objects are brought to the destination, and what it lists beside them.
    pub(super) handing: Option<(HandOver, Vec<SealedObject>)>,
    /// It has stopped loudly: an upload that its checkpoint lists has vanished.
    pub(super) is_stopped: bool,
}

/// How many times each misfortune may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a way in which streams differ"
)]
pub(super) struct Odds {
    pub(super) crashes: u8,
    pub(super) losses: u8,
    pub(super) rots: u8,
    pub(super) delays: u8,
    /// In so many ways a block may be encoded.
    pub(super) ways: u8,
    /// Whether objects need uploads.
    pub(super) large: bool,
    /// Whether the epoch is claimed at each store at a time of its own.
    pub(super) claims: bool,
    /// A store that is never claimed.
    pub(super) deaf: Option<&'static str>,
    /// Records that a store refuses.
    pub(super) refusals: u8,
    /// Objects that are moved.
    pub(super) moves: u8,
    /// Whether batches begin uploads while they fill.
    pub(super) fills: bool,
    /// Whether daemons share the stream.
    pub(super) shared: bool,
}

/// What steps add worlds to; `Err` says which promise is broken.
pub(super) type Steps = Result<(), String>;

/// Bytes of a record in a batch: raw, or encoded in one of several ways. Written once, so that these name them.
pub(super) fn extent(id: Uuid, record: u64, way: Option<u8>) -> Extent {
    Extent {
        file: u32::try_from(id.as_u128()).unwrap() + WAY * way.map_or(0, |way| u32::from(way) + 1),
        offset: record,
        len: 1,
        crc64: (record << 8) | u64::from(way.map_or(0, |way| way + 1)),
    }
}

/// Batches go to one store and the other in turn.
pub(super) const STORES: [&str; 2] = ["even", "odd"];

pub(super) fn batch(id: Uuid) -> OpenBatch {
    OpenBatch {
        id,
        // It stands for every lane of errors.
        lane: if is_of_errors(id) {
            Lane::Backup
        } else {
            Lane::Data
        },
        identity: String::new(),
        target: Target {
            store: STORES[usize::from(id.as_u128() % 2 == 1)].to_owned(),
            key: String::new(),
            format: 0,
            is_late: false,
        },
        opened_ms: 0,
        arrival_ms: 0,
        window: None,
        partition_ends: None,
        encoded_from: 0,
        records: 0,
        bytes: 0,
        sealing: false,
        blocks: Vec::new(),
        upload_id: None,
    }
}

/// Whether a batch is one of errors.
pub(super) fn is_of_errors(id: Uuid) -> bool {
    id.as_u128() > ERRORS.into()
}

pub(super) fn told(error: &StreamError) -> String {
    format!("STOPPED: {error}")
}

impl World {
    pub(super) fn new(odds: Odds) -> Self {
        let mut world = Self {
            store: Store::default(),
            released: 0,
            freed: BTreeSet::new(),
            uploads: BTreeMap::new(),
            on_their_way: BTreeSet::new(),
            late: BTreeSet::new(),
            visible: BTreeMap::new(),
            refused: BTreeMap::new(),
            rotten: BTreeSet::new(),
            aside: BTreeSet::new(),
            claimed: BTreeSet::new(),
            ids: 0,
            begun: 0,
            odds,
            protocol: Protocol::default(),
            applied: 0,
            batches: Vec::new(),
            owed: BTreeMap::new(),
            failed: BTreeSet::new(),
            named: Vec::new(),
            writing: None,
            written: None,
            reading: None,
            spilled: Vec::new(),
            handing: None,
            is_stopped: false,
        };
        world.recover(Broken::Nothing);
        world
    }

    /// All is forgotten but what is durable.
    pub(super) fn recover(&mut self, broken: Broken) {
        let mut open: Vec<OpenBatch> = self.store.open.values().cloned().collect();
        let sealed: Vec<SealedObject> = self.store.sealed.values().cloned().collect();
        let shards = self.store.shards.clone();
        self.protocol = if self.odds.shared {
            Protocol::taken_over(shards, sealed)
        } else {
            Protocol::recovered(shards, &open, sealed)
        };
        if broken == Broken::EndUnderNewSettings {
            for row in &mut open {
                row.target.key = "new".to_owned();
            }
            self.protocol.opened.clear();
        }
        self.claimed.clear();
        if !self.odds.claims {
            for store in STORES {
                self.claim(store, Broken::Nothing);
            }
        }
        self.applied = self.store.frontier();
        self.batches = open;
        (self.owed, self.failed) = (BTreeMap::new(), BTreeSet::new());
        (self.named, self.writing, self.written) = (Vec::new(), None, None);
        (self.reading, self.spilled, self.handing) = (None, Vec::new(), None);
    }

    fn claim(&mut self, store: &'static str, broken: Broken) {
        self.claimed.insert(store);
        for of in STORES {
            if of == store || broken == Broken::OneClaimForAll {
                self.protocol.claimed(of);
            }
        }
    }

    /// Every world that one step makes of this one.
    pub(super) fn steps(&self, broken: Broken) -> Result<Vec<Self>, String> {
        let mut next = Vec::new();
        if self.is_stopped {
            return Ok(next);
        }
        if self.written.is_some() {
            // What the process does now it might as well have done before the store had it.
            self.checkpoint(broken, &mut next)?;
            self.crash(broken, &mut next);
            return Ok(next);
        }
        self.apply(&mut next)?;
        if self.odds.shared {
            self.share(broken, &mut next)?;
        } else {
            self.encode(broken, &mut next)?;
        }
        self.checkpoint(broken, &mut next)?;
        if self.odds.fills {
            self.fill(broken, &mut next)?;
        }
        self.land(broken, &mut next);
        for id in self.protocol.objects.keys() {
            self.publish(*id, broken, &mut next)?;
            self.relocate(*id, broken, &mut next)?;
        }
        for store in STORES {
            if !self.claimed.contains(store) && self.odds.deaf != Some(store) {
                let mut world = self.clone();
                world.claim(store, broken);
                next.push(world);
            }
        }
        for (id, record) in &self.owed {
            if !self.protocol.objects.contains_key(id) {
                let mut world = self.clone();
                world.owed.remove(id);
                world.fail(*record);
                next.push(world);
            }
        }
        self.misfortune(broken, &mut next);
        Ok(next)
    }

    /// Puts a record into the open batch of its lane; into another, where it is in that already, since by its number
    /// it is known there.
    fn put(&mut self, record: u64, of_errors: bool) -> Uuid {
        let is_open = |batch: &OpenBatch| {
            let mut extents = batch.blocks.iter().flat_map(|block| &block.extents);
            !batch.sealing
                && is_of_errors(batch.id) == of_errors
                && extents.all(|extent| extent.offset != record)
        };
        if !self.batches.iter().any(is_open) {
            self.ids += 1;
            let id = if of_errors {
                ERRORS + self.ids
            } else {
                self.ids
            };
            self.batches.push(batch(Uuid::from_u128(id.into())));
        }
        let open = self.batches.iter_mut().find(|batch| is_open(batch));
        let open = open.unwrap();
        open.records += 1;
        open.blocks.push(SpooledBlock {
            extents: vec![extent(open.id, record, None)],
            ..SpooledBlock::default()
        });
        open.id
    }

    /// Puts the error line of a record into the open batch of errors.
    pub(super) fn fail(&mut self, record: u64) -> Uuid {
        self.put(record, true)
    }

    pub(super) fn read(&self, extent: &Extent) -> Result<Extent, String> {
        if self.freed.contains(extent) {
            return Err(format!("LOST: {extent:?} is read after it was freed"));
        }
        Ok(*extent)
    }

    fn apply(&self, next: &mut Vec<Self>) -> Steps {
        if self.applied == RECORDS {
            return Ok(());
        }
        let mut world = self.clone();
        world.applied += 1;
        let record = world.applied;
        if record <= self.released {
            return Err(format!(
                "LOST: record {record} is read after it was released"
            ));
        }
        world.put(record, false);
        let position = Position::of(Sequence(record));
        world
            .protocol
            .advance(JOURNAL, position)
            .map_err(|error| told(&error))?;
        next.push(world);
        Ok(())
    }

    /// Encodes a block of an open batch, or seals it when all are.
    fn encode(&self, broken: Broken, next: &mut Vec<Self>) -> Steps {
        let batches = self.batches.iter().enumerate();
        for (at, open) in batches.filter(|(_, batch)| !batch.sealing) {
            self.encode_one(at, open, broken, next)?;
        }
        Ok(())
    }

    fn encode_one(
        &self,
        at: usize,
        open: &OpenBatch,
        broken: Broken,
        next: &mut Vec<Self>,
    ) -> Steps {
        for (index, block) in open.blocks.iter().enumerate() {
            if block.encoded {
                continue;
            }
            let raw = self.read(&block.extents[0])?;
            // One block that differs tells as much as two: the last, so that there may be parts before it.
            let is_last = raw.offset == RECORDS;
            let ways = if is_last { self.odds.ways } else { 1 };
            for way in 0..ways {
                let mut world = self.clone();
                let block = &mut world.batches[at].blocks[index];
                block.encoded = true;
                block.extents = vec![extent(open.id, raw.offset, Some(way))];
                world.protocol.let_go([raw]);
                if broken == Broken::FreeAtEncoding {
                    world.freed.insert(raw);
                }
                next.push(world);
            }
        }
        self.seal(at, open, next);
        Ok(())
    }

    /// Seals a batch when all its bytes are final.
    pub(super) fn seal(&self, at: usize, open: &OpenBatch, next: &mut Vec<Self>) {
        if open.is_final() {
            let mut world = self.clone();
            world.batches[at].sealing = true;
            if world.protocol.seal(open.id) {
                next.push(world);
            }
        }
    }

    /// Begins the upload of the open batch, or sends its parts.
    fn fill(&self, broken: Broken, next: &mut Vec<Self>) -> Steps {
        for named in &self.named {
            let mut row = named.row().clone();
            let now = self.batches.iter().find(|batch| batch.id == row.id);
            match broken {
                Broken::PartBeforeBytes => row.blocks.clone_from(&now.unwrap().blocks),
                Broken::PartBeforeUpload => row.upload_id = self.protocol.upload(row.id),
                _ => {}
            }
            let id = row.id;
            let named = Named::by_a_durable_checkpoint(row);
            let head = named.clone().into_head().into_object().extents;
            let mut world = self.clone();
            let full = u32::try_from(head.len()).unwrap();
            let filled = match world.protocol.fill(&named, full) {
                None => continue,
                Some(Fill::Begin) if self.has_begun_all() => continue,
                Some(Fill::Begin) => Filled::Begun(world.begin()),
                Some(Fill::Send(after)) => {
                    let upload = world.protocol.upload(id).unwrap();
                    let part = self.read(&head[after as usize])?;
                    let arrived = self.uploads.get(&upload);
                    match arrived.map(|parts| parts.get(&(after as usize))) {
                        None => Filled::Gone,
                        Some(Some(_)) => Filled::Sent(after + 1),
                        Some(None) => {
                            let part = (upload, after as usize, part);
                            world.on_their_way.insert(part);
                            Filled::Failed
                        }
                    }
                }
            };
            world
                .protocol
                .filled(id, filled)
                .map_err(|error| told(&error))?;
            next.push(world);
        }
        Ok(())
    }

    /// Whether no upload may be begun any more, for the model's sake.
    pub(super) const fn has_begun_all(&self) -> bool {
        let max = if self.odds.shared {
            SHARED_UPLOADS_MAX
        } else {
            UPLOADS_MAX
        };
        self.begun >= max
    }

    pub(super) fn begin(&mut self) -> String {
        self.begun += 1;
        let upload = self.begun.to_string();
        self.uploads.insert(upload.clone(), BTreeMap::new());
        upload
    }
}
