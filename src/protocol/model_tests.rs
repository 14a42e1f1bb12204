//! The protocol in every interleaving of a small world: parts of open batches, freed bytes, released records,
//! late writes, lost replies, vanished uploads, damaged and moved objects, refused records, claims,
//! hand-overs, crashes.
//!
//! What is explored is the state machine that production drives; the model is what is around it: a source, a
//! store of checkpoints, a spool, a destination. Records go one after the other into one batch at a time, each as a
//! raw block of its own. Encoding a block is not deterministic: done again after a crash it may give other
//! bytes. A block is a part. The process may die between any two steps, and what it sent may land long after, or
//! never; the store may lose an upload, the disk a sealed block, which is left out then.
//!
//! Each rule is left out once: the model does what is not allowed yet, or reaches into the state machine for what
//! it would not give. That must be found, or the model says nothing.

use std::collections::VecDeque;
use std::hash::BuildHasher as _;

use foldhash::quality::RandomState;
use foldhash::{HashSet, HashSetExt as _};

use super::objects::Stands;
use super::*;
use crate::checkpoint::{Commit, Lane, SpooledBlock, Target};
use crate::extent::sum;
use crate::shard::JOURNAL;

mod attempts;
mod committing;
mod misfortune;
mod sharing;
mod world;

use world::{Odds, World};

/// Which rule is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// C1: parts are sent from what is encoded, checkpointed or not.
    PartBeforeBytes,
    /// C1: parts are sent to an upload that no checkpoint names.
    PartBeforeUpload,
    /// C1: an object is sent by an upload that no checkpoint names.
    SendBeforeUpload,
    /// C1: objects are sent when a checkpoint of them is begun.
    PublishBeforeCheckpoint,
    /// C2: the source is released when a checkpoint is begun.
    ReleaseBeforeCheckpoint,
    /// C3: bytes are freed when a checkpoint without them is begun.
    FreeBeforeCheckpoint,
    /// C3: raw bytes are freed when they are encoded.
    FreeAtEncoding,
    /// C3: an object's bytes are freed when it is visible.
    FreeAtPublication,
    /// C3: bytes are freed when their part has arrived.
    FreeAtPart,
    /// C5: what was sent counts as published, whether or not that was answered.
    LostReplyIsSuccess,
    /// C1: a mended object is sent when it is mended.
    PublishBeforeMendIsDurable,
    /// C3: damaged bytes are freed when their object is mended.
    FreeAtMend,
    /// C3: the bytes of an object are freed when they are copied.
    FreeAtMove,
    /// C4: a mended object is another one, with an id and a key of its own.
    MendUnderNewId,
    /// C4: a mended object does not know what it was.
    MendForgets,
    /// C5: a mended object goes on with the upload of what it was.
    MendKeepsUpload,
    /// C6: a claim at one store counts for the others.
    OneClaimForAll,
    /// C8: nothing is sent before every store is claimed.
    WaitForAllClaims,
    /// C5: an object counts as published whole, whatever its store has refused.
    ForgetRefused,
    /// C5: what was refused goes to an error batch when the object is forgotten.
    RefusedLater,
    /// C5: an object is forgotten when a checkpoint may have named what was refused of it.
    RefusedFirst,
    /// C3: bytes are freed that the row of a batch names, which stays as it is.
    LeaveRowOut,
    /// C7: a batch that was opened under other settings ends under those of now.
    EndUnderNewSettings,
    /// C9: a shared checkpoint passes records of batches that are open.
    HandOverOpen,
    /// C9: it passes records of sealed batches whose objects are not gathered.
    HandOverUngathered,
    /// C9: it lists objects of which no byte is at the destination.
    ListBeforeParts,
    /// C9: objects are visible before a lease has taken the checkpoint that lists them.
    ShowBeforeLease,
    /// C3: bytes of objects are freed when a shared checkpoint of them is begun.
    FreeAtHandOver,
    /// C3: bytes that were let go are freed while they are read.
    FreeWhileRead,
    /// C5: an upload that is gone is taken for completed.
    GoneIsPublished,
}

/// Every world that can be reached: how many, and how many of them have come to rest. A world is known by 64 bits
/// of a hash: that two of a million are taken for one is less likely than one in ten million.
fn explore(broken: Broken, odds: Odds) -> Result<(usize, usize), String> {
    let hasher = RandomState::default();
    let first = World::new(odds);
    let (mut seen, mut at_rest) = (HashSet::new(), 0);
    seen.insert(hasher.hash_one(&first));
    let mut todo = VecDeque::from([first]);
    while let Some(world) = todo.pop_front() {
        let is_at_rest = world.judge()?;
        let steps = world.steps(broken)?;
        let has_ended = is_at_rest || world.is_stopped;
        if steps.is_empty() && !has_ended && !world.has_begun_all() {
            return Err(format!("STUCK: {world:?}"));
        }
        at_rest += usize::from(is_at_rest);
        for next in steps {
            if seen.insert(hasher.hash_one(&next)) {
                todo.push_back(next);
            }
        }
    }
    Ok((seen.len(), at_rest))
}

/// Uploads vanish, and batches begin them while they fill.
const FILLING: Odds = Odds {
    crashes: 1,
    losses: 1,
    rots: 0,
    delays: 0,
    ways: 2,
    large: false,
    claims: false,
    deaf: None,
    refusals: 0,
    moves: 0,
    fills: true,
    shared: false,
};

/// One block is damaged, and one publication arrives late. How blocks were encoded matters no more.
const DAMAGED: Odds = Odds {
    losses: 0,
    rots: 1,
    delays: 1,
    ways: 1,
    ..FILLING
};

/// Each object needs an upload.
const LARGE: Odds = Odds {
    losses: 0,
    delays: 1,
    ways: 1,
    large: true,
    ..FILLING
};

/// Each store is claimed when it is.
const CLAIMING: Odds = Odds {
    losses: 0,
    ways: 1,
    claims: true,
    ..FILLING
};

/// One store never answers.
const DEAF: Odds = Odds {
    deaf: Some("odd"),
    crashes: 2,
    delays: 1,
    fills: false,
    ..CLAIMING
};

/// A store takes an object and refuses a record of it.
const REFUSING: Odds = Odds {
    losses: 0,
    ways: 1,
    refusals: 1,
    fills: false,
    ..FILLING
};

/// The bytes of an object go elsewhere in the spool.
const MOVING: Odds = Odds {
    losses: 0,
    ways: 1,
    moves: 1,
    fills: false,
    ..FILLING
};

/// Daemons share the stream, and a publication arrives late.
const SHARED: Odds = Odds {
    losses: 0,
    delays: 1,
    ways: 1,
    fills: false,
    shared: true,
    ..FILLING
};

/// Bytes of the spool are written elsewhere while they are read.
const REWRITING: Odds = Odds {
    delays: 0,
    moves: 1,
    ..SHARED
};

/// An upload that a shared checkpoint lists vanishes.
const VANISHING: Odds = Odds {
    delays: 0,
    losses: 1,
    ..SHARED
};

fn keeps_the_promises(odds: Odds) {
    let (worlds, at_rest) = explore(Broken::Nothing, odds).unwrap();
    assert!(
        at_rest > 100,
        "{at_rest} worlds at rest of {worlds} say little"
    );
}

fn finds(broken: Broken, odds: Odds, promise: &str) {
    let found = explore(broken, odds).expect_err(&format!("{broken:?} was not found"));
    assert!(found.starts_with(promise), "{broken:?}: {found}");
}

#[test]
fn parts_of_open_batches_keep_the_promises_in_every_interleaving() {
    keeps_the_promises(FILLING);
    keeps_the_promises(Odds {
        crashes: 2,
        losses: 0,
        ..FILLING
    });
}

#[test]
fn large_objects_keep_the_promises_in_every_interleaving() {
    keeps_the_promises(LARGE);
}

#[test]
fn stores_that_are_claimed_one_by_one_keep_the_promises_in_every_interleaving() {
    keeps_the_promises(CLAIMING);
    finds(Broken::OneClaimForAll, CLAIMING, "UNCLAIMED");
    keeps_the_promises(DEAF);
    finds(Broken::WaitForAllClaims, DEAF, "STUCK");
}

#[test]
fn refused_records_keep_the_promises_in_every_interleaving() {
    keeps_the_promises(REFUSING);
    for broken in [
        Broken::ForgetRefused,
        Broken::RefusedLater,
        Broken::RefusedFirst,
    ] {
        finds(broken, REFUSING, "LOST OR DOUBLED");
    }
}

#[test]
fn moved_objects_keep_the_promises_in_every_interleaving() {
    keeps_the_promises(MOVING);
    finds(Broken::FreeAtMove, MOVING, "LOST");
}

#[test]
fn mended_objects_keep_the_promises_in_every_interleaving() {
    keeps_the_promises(DAMAGED);
}

#[test]
fn shared_checkpoints_keep_the_promises_in_every_interleaving() {
    keeps_the_promises(SHARED);
    keeps_the_promises(REWRITING);
    keeps_the_promises(VANISHING);
}

#[test]
fn breaking_a_rule_about_shared_checkpoints_is_found() {
    for (broken, odds, promise) in [
        (Broken::HandOverOpen, SHARED, "LOST OR DOUBLED"),
        (Broken::HandOverUngathered, SHARED, "LOST OR DOUBLED"),
        (Broken::ShowBeforeLease, SHARED, "LOST OR DOUBLED"),
        (Broken::ListBeforeParts, SHARED, "TORN"),
        (Broken::LostReplyIsSuccess, SHARED, "LOST OR DOUBLED"),
        (Broken::FreeAtHandOver, SHARED, "LOST"),
        (Broken::FreeWhileRead, REWRITING, "LOST"),
        (Broken::GoneIsPublished, VANISHING, "LOST OR DOUBLED"),
    ] {
        finds(broken, odds, promise);
    }
}

#[test]
fn breaking_a_rule_about_checkpoints_is_found() {
    for (broken, promise) in [
        (Broken::LeaveRowOut, "LOST"),
        (Broken::EndUnderNewSettings, "ELSEWHERE"),
        (Broken::PublishBeforeCheckpoint, "TORN"),
        (Broken::ReleaseBeforeCheckpoint, "LOST"),
        (Broken::FreeBeforeCheckpoint, "LOST"),
        (Broken::FreeAtEncoding, "LOST"),
    ] {
        finds(broken, FILLING, promise);
    }
}

#[test]
fn breaking_a_rule_about_parts_and_freed_bytes_is_found() {
    for (broken, promise) in [
        (Broken::PartBeforeBytes, "TORN"),
        (Broken::PartBeforeUpload, "LEAKED"),
        (Broken::FreeAtPublication, "LOST"),
        (Broken::FreeAtPart, "LOST"),
    ] {
        finds(broken, FILLING, promise);
    }
    finds(Broken::SendBeforeUpload, LARGE, "LEAKED");
    finds(Broken::LostReplyIsSuccess, LARGE, "LOST");
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
