//! Objects of a stream that does not run, sent once more; under a key of their own where somebody else has
//! taken the one that they had.
//!
//! A new key is given only where what the old one holds was never the object, by the id that it has or by the
//! word of a person: so nothing of ours is there, and a store that never overwrites lets nothing of ours come
//! there later. Where a store does overwrite, an earlier attempt may still arrive: no new key is given.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::claim;
use super::log::LocalLog;
use super::outputs::Outputs;
use super::publish::publication::publication;
use super::recovery::state::RecoveredState;
use crate::checkpoint::{Commit, NamedUpload, SealedObject, StoreReceipt};
use crate::config::StreamSettings;
use crate::destination::{Body, Conditional, Destination, Publication, PublishError, Whose};
use crate::error::StreamError;
use crate::protocol::{Protocol, Step};
use crate::spool::Spool;

/// What has become of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The key that it had.
    pub key: String,
    /// The key that it has now, where that is another one.
    pub renamed: Option<String>,
    /// Why it is not published; `None`: it is.
    pub refused: Option<String>,
    /// The upload that was given up with the old key.
    pub given_up: Option<NamedUpload>,
}

/// Which objects are tried, and how far that may go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Only the object with this key.
    pub key: Option<&'a str>,
    /// A person says: what is under its key was never this object, where nothing else tells.
    pub may_rename: bool,
}

/// Tries the objects that wait for the stream's stores, or the wanted one, from what recovery has opened: as it does,
/// it claims the stores first. What waits for one that cannot be opened is refused, and the others get theirs. An error
/// is one of the state, such as that another daemon has a copy of it: then nothing is sent.
pub async fn try_again(
    recovered: RecoveredState<LocalLog>,
    settings: &StreamSettings,
    wanted: Wanted<'_>,
    now_ms: i64,
) -> Result<Vec<Tried>, StreamError> {
    let stream = &settings.name;
    let claim = recovered.log.claim(&recovered.outputs, stream, now_ms);
    let named: HashSet<Uuid> = recovered.sealed.iter().map(|object| object.id).collect();
    let is_wanted = |object: &SealedObject| wanted.key.is_none_or(|key| object.target.key == key);
    let asked = recovered.sealed.iter().filter(|object| is_wanted(object));
    let asked: HashSet<&str> = asked.map(|object| &*object.target.store).collect();
    let mut stores = settings.destination.stores();
    // What goes to one store does not wait for another.
    if stores.iter().any(|store| asked.contains(&*store.name())) {
        stores.retain(|store| asked.contains(&*store.name()));
    }
    let mut opened = BTreeMap::new();
    for store in stores {
        let claimed = match claim::try_claim(stream, store, &claim, &named).await {
            Ok((destination, conditional)) => {
                claim::tell_of_overwriting(stream, &destination, conditional);
                Ok((destination, conditional))
            }
            Err(PublishError::Foreign { cause, advice, .. }) => {
                return Err(StreamError::LoudStop { cause, advice });
            }
            Err(error) => Err(error.to_string()),
        };
        opened.insert(store.name(), claimed);
    }
    let again = Again {
        stream: stream.clone(),
        log: recovered.log,
        spool: Arc::clone(&recovered.spool),
        outputs: Arc::clone(&recovered.outputs),
        may_rename: wanted.may_rename,
    };
    let mut tried = Vec::new();
    for object in recovered.sealed.into_iter().filter(is_wanted) {
        tried.push(match opened.get(&object.target.store) {
            Some(Ok((destination, conditional))) => {
                again.try_one(object, destination, *conditional).await?
            }
            Some(Err(cause)) => Tried {
                key: object.target.key,
                renamed: None,
                refused: Some(cause.clone()),
                given_up: None,
            },
            None => continue,
        });
    }
    recovered.source.stop();
    recovered.source.stopped().await;
    Ok(tried)
}

/// What has become of an attempt, and the object as the state has it now.
type Sent = (Result<(), PublishError>, SealedObject);

struct Again {
    stream: String,
    log: LocalLog,
    spool: Arc<Spool>,
    outputs: Arc<Outputs>,
    /// See [`Wanted::may_rename`].
    may_rename: bool,
}

impl Again {
    async fn try_one(
        &self,
        object: SealedObject,
        destination: &Destination,
        conditional: Conditional,
    ) -> Result<Tried, StreamError> {
        let key = object.target.key.clone();
        let (sent, object) = self.send(object, destination).await?;
        let is_taken = match sent {
            Err(PublishError::Foreign { whose, .. }) => match whose {
                Whose::Ours => false,
                Whose::Anothers => true,
                Whose::Unknown => self.may_rename,
            },
            _ => false,
        };
        if !is_taken || conditional == Conditional::No {
            return Ok(Tried {
                key,
                renamed: None,
                refused: sent.err().map(|error| error.to_string()),
                given_up: None,
            });
        }
        let given_up = object.upload_id.clone().map(|upload_id| NamedUpload {
            store: object.target.store.clone(),
            key: key.clone(),
            upload_id,
        });
        let renamed = renamed(object.clone());
        // One transaction: at no time are both listed, or none.
        self.commit(&Commit {
            published: vec![object.id],
            sealed: vec![renamed.clone()],
            ..Commit::default()
        })?;
        let new_key = renamed.target.key.clone();
        let (sent, _) = self.send(renamed, destination).await?;
        Ok(Tried {
            key,
            renamed: Some(new_key),
            refused: sent.err().map(|error| error.to_string()),
            given_up,
        })
    }

    /// Sends an object, and takes it out of the state when it is there, as a running stream would. An upload that
    /// has vanished is forgotten and another begun, once.
    async fn send(&self, object: SealedObject, to: &Destination) -> Result<Sent, StreamError> {
        let id = object.id;
        let mut protocol = Protocol::recovered(BTreeMap::new(), &[], vec![object.clone()]);
        protocol.claimed(&object.target.store);
        let mut may_forget = true;
        loop {
            let sent = match protocol.next(id, |size| to.needs_upload(size)) {
                None => return Ok((Err(unanswered()), object)),
                Some(Step::Send(row)) => {
                    let one = publication(row, &self.outputs, &self.spool);
                    let sent = to.publish(&[one]).await.pop();
                    sent.unwrap_or_else(|| Err(unanswered()))
                }
                Some(Step::Begin(row)) => {
                    let one = publication(row, &self.outputs, &self.spool);
                    match to.begin_upload(&one).await {
                        Err(error) => Err(error),
                        Ok(upload_id) => {
                            protocol.begun(id, upload_id)?;
                            self.checkpoint(&mut protocol)?;
                            continue;
                        }
                    }
                }
            };
            match sent {
                Err(PublishError::UploadGone) if std::mem::take(&mut may_forget) => {
                    protocol.upload_gone(id)?;
                }
                Err(error) => {
                    protocol.not_sent(id)?;
                    let object = protocol.object(id).cloned().unwrap_or(object);
                    return Ok((Err(error), object));
                }
                Ok(()) => {
                    let object = protocol.published(id)?.clone();
                    self.checkpoint(&mut protocol)?;
                    return Ok((Ok(()), object));
                }
            }
            self.checkpoint(&mut protocol)?;
        }
    }

    /// Makes durable what has happened.
    fn checkpoint(&self, protocol: &mut Protocol) -> Result<(), StreamError> {
        if let Some(draft) = protocol.draft() {
            let transaction = draft.transaction(Vec::new())?;
            let durable = transaction.stored(|commit| self.commit(commit))?;
            protocol.durable(durable)?;
        }
        Ok(())
    }

    fn commit<'a>(&self, commit: &'a Commit) -> Result<StoreReceipt<'a>, StreamError> {
        self.log.change(&self.stream, commit)
    }
}

fn unanswered() -> PublishError {
    PublishError::Transient("nothing was said of it".to_owned())
}

/// Whether the destination holds an object, whoever has published it. Something else under its key is
/// [`PublishError::Foreign`].
pub async fn is_there(
    destination: &Destination,
    object: &SealedObject,
) -> Result<bool, PublishError> {
    let asked = Publication {
        object_id: object.id,
        key: object.target.key.clone(),
        size: object.size,
        crc64nvme: object.crc64,
        was: object.was.clone(),
        content_type: "",
        content_encoding: None,
        schema: None,
        upload_id: None,
        parts: None,
        body: Arc::new(NotRead),
    };
    destination.holds(&asked).await
}

/// The bytes of an object that is only asked for.
struct NotRead;

impl Body for NotRead {
    fn read(&self, _offset: u64, _len: usize) -> io::Result<Bytes> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The object under another id, and with that another key.
fn renamed(mut object: SealedObject) -> SealedObject {
    let (old, new) = (object.id.to_string(), Uuid::new_v4());
    let key = &object.target.key;
    object.target.key = match key.rfind(&old) {
        Some(at) => format!("{}{new}{}", &key[..at], &key[at + old.len()..]),
        None => format!("{key}-{new}"),
    };
    (object.id, object.upload_id) = (new, None);
    object.was.clear();
    object
}
