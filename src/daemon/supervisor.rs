//! Keeps one stream running: opens its state, runs its pipeline, and after a fault of the disk
//! opens the state again, for as long as it takes.

#![expect(
    clippy::disallowed_methods,
    reason = "a stream that has failed is tried again after a while"
)]

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::door::{Door, SharedDoor};
use super::holdings;
use super::shared::SharedStream;
use crate::config::StreamSettings;
use crate::disk::Disk;
use crate::error::{StreamError, with_causes};
use crate::pipeline::{self, LocalLog, RecoveredState, Status, StreamContext};
use crate::retry;
use crate::source::Intake;
use crate::telemetry::StreamState;
use crate::transform::Loaded;

/// A stream whose state cannot be opened is tried again after so long at most.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// A stream and what keeps it running.
pub(super) struct Supervisor {
    settings: Arc<StreamSettings>,
    disk: Arc<dyn Disk>,
    context: StreamContext,
    door: SharedDoor,
    recovered: Option<Result<RecoveredState<LocalLog>, StreamError>>,
}

impl Supervisor {
    /// Opens the stream's state for the first time, unless it is withheld or has to wait for its modules.
    /// A fault is dealt with by [`Supervisor::run`].
    pub(super) async fn open(
        settings: Arc<StreamSettings>,
        disk: Arc<dyn Disk>,
        context: StreamContext,
        withheld: Option<StreamError>,
    ) -> Self {
        let status = Arc::clone(&context.status);
        let door = Door::new(&settings.name, context.reserve.shortage(), status);
        let is_shared = settings.source.is_shared();
        let mut supervisor = Self {
            settings,
            disk,
            context,
            door,
            recovered: None,
        };
        if let Some(error) = withheld {
            supervisor.recovered = Some(Err(error));
        } else if !supervisor.has_modules() {
            supervisor.stall("the stream's modules are being loaded".to_owned());
        } else if !is_shared {
            supervisor.recovered = Some(supervisor.open_state().await);
        }
        supervisor
    }

    /// When the stream's state was created, in ms; now, where it could not be opened.
    pub(super) fn created_ms(&self) -> i64 {
        let recovered = self
            .recovered
            .as_ref()
            .and_then(|recovered| recovered.as_ref().ok());
        recovered.map_or_else(
            || self.context.clock.now_ms(),
            |recovered| recovered.log.created_ms(),
        )
    }

    /// What was opened, to be worked with by somebody else; `None` where no state of this machine counts.
    pub(super) fn into_recovered(self) -> Option<Result<RecoveredState<LocalLog>, StreamError>> {
        self.recovered
    }

    /// The stream's state for the outside.
    pub(super) fn status(&self) -> Arc<Status> {
        Arc::clone(&self.context.status)
    }

    /// Where producers knock, if the stream takes records from any.
    pub(super) fn door(&self) -> Option<Arc<dyn Intake>> {
        let is_here = self.settings.source.put_elsewhere().is_none();
        is_here.then(|| Arc::clone(&self.door) as _)
    }

    /// Runs the stream until `stop`, then until everything accepted is published; from `hurry` on what
    /// other machines can do is left to them. False: it ended with a loud stop.
    pub(super) async fn run(self, stop: CancellationToken, hurry: CancellationToken) -> bool {
        let may_begin = self.recovered.is_some() || self.wait_for_modules(&stop).await;
        if !may_begin {
            return false;
        }
        match self.shared(hurry) {
            Some(shared) => self.run_shared(Arc::new(shared), stop).await,
            None => self.run_alone(stop).await,
        }
    }

    fn has_modules(&self) -> bool {
        let transforms = self.context.transforms.as_ref();
        transforms.is_none_or(|transforms| transforms.is_ready())
    }

    /// Waits for the stream's modules; where they cannot be used, until they can. False: the daemon
    /// stops before.
    async fn wait_for_modules(&self, stop: &CancellationToken) -> bool {
        let Some(transforms) = &self.context.transforms else {
            return true;
        };
        let mut loaded = transforms.loaded();
        let mut has_stopped = false;
        loop {
            let now = loaded.borrow_and_update().clone();
            match now {
                Loaded::Chain(_) => break,
                Loaded::Refused(error) => {
                    has_stopped = true;
                    let cause = with_causes(&*error);
                    self.stop_loudly(cause.clone(), error.advice());
                    if error.passes() {
                        // No person need see to it.
                        self.door.shut(cause);
                    }
                    self.see_to_room(error.wants_room()).await;
                    self.show_what_waits().await;
                }
                Loaded::NotYet => {}
            }
            tokio::select! {
                changed = loaded.changed() => if changed.is_err() { return false },
                () = stop.cancelled() => return false,
            }
        }
        if has_stopped {
            let stream = &self.settings.name;
            tracing::info!(
                stream,
                "the transform modules can be used now: the stream begins"
            );
            self.stall("the stream is starting".to_owned());
        }
        true
    }

    /// What has filled the disk may be what the stream itself has accepted, which is read when its modules are there: where
    /// they want room, the reserve is theirs. They are tried again by themselves.
    async fn see_to_room(&self, wanted: bool) {
        let reserve = Arc::clone(&self.context.reserve);
        if !wanted && !reserve.is_given_up() {
            return;
        }
        let stream = self.settings.name.clone();
        let seeing = move || {
            // Nobody has looked yet whether there is one, or it was given up for the try before.
            let kept = reserve.keep();
            if wanted && reserve.give_up() {
                tracing::info!(stream, "the reserve is given up for the stream's modules");
            } else if let Err(error) = kept {
                tracing::debug!(stream, %error, "the disk has no room for a reserve");
            }
        };
        // A panic there has given up nothing.
        let _ = tokio::task::spawn_blocking(seeing).await;
    }

    async fn run_shared(&self, shared: Arc<SharedStream>, stop: CancellationToken) -> bool {
        let mut attempt = 0;
        loop {
            match Box::pin(Arc::clone(&shared).run(stop.clone())).await {
                Ok(clean) => return clean,
                Err(error) => {
                    attempt += 1;
                    let may_go_on = tokio::select! {
                        // First, so that the fault is told of even when the stop has come.
                        biased;
                        may_go_on = self.wait_out(error, attempt, &stop) => may_go_on,
                        () = stop.cancelled() => false,
                    };
                    if !may_go_on {
                        return false;
                    }
                }
            }
        }
    }

    /// The stream as the machines share it that read it, if they do.
    fn shared(&self, hurry: CancellationToken) -> Option<SharedStream> {
        Some(SharedStream {
            coordination: self.settings.source.coordination()?.clone(),
            settings: Arc::clone(&self.settings),
            disk: Arc::clone(&self.disk),
            context: self.context.clone(),
            hurry,
        })
    }

    async fn run_alone(mut self, stop: CancellationToken) -> bool {
        let mut attempt = 0;
        loop {
            let recovered = match self.recovered.take() {
                Some(recovered) => recovered,
                None => self.open_state().await,
            };
            let result = match recovered {
                Ok(recovered) => {
                    attempt = 0;
                    self.run_pipeline(recovered, &stop).await
                }
                Err(error) => {
                    if attempt == 0 {
                        self.show_what_waits().await;
                    }
                    Err(error)
                }
            };
            match result {
                Ok(()) => return true,
                Err(error) => {
                    attempt += 1;
                    if !self.wait_out(error, attempt, &stop).await {
                        return false;
                    }
                }
            }
        }
    }

    async fn run_pipeline(
        &self,
        recovered: RecoveredState<LocalLog>,
        stop: &CancellationToken,
    ) -> Result<(), StreamError> {
        let source = Arc::clone(&recovered.source);
        if let Some(intake) = source.intake() {
            self.door.open(intake);
        }
        let stopper = tokio::spawn({
            let (source, stop) = (Arc::clone(&source), stop.clone());
            async move {
                stop.cancelled().await;
                source.stop();
            }
        });
        let result =
            pipeline::run(recovered, Arc::clone(&self.settings), self.context.clone()).await;
        stopper.abort();
        self.door
            .shut("the stream's state is being recovered".to_owned());
        source.stop();
        source.stopped().await;
        result
    }

    async fn open_state(&self) -> Result<RecoveredState<LocalLog>, StreamError> {
        let (settings, disk) = (Arc::clone(&self.settings), Arc::clone(&self.disk));
        let context = self.context.clone();
        let opening =
            tokio::task::spawn_blocking(move || pipeline::open(&settings, &disk, &context));
        opening.await.unwrap_or_else(|panic| {
            Err(StreamError::State {
                action: "open the state",
                cause: panic.into(),
            })
        })
    }

    /// Tells of a fault, and waits until it is time to try again. False: that is for a person to decide,
    /// and the daemon stops now.
    async fn wait_out(&self, error: StreamError, attempt: u32, stop: &CancellationToken) -> bool {
        if let StreamError::LoudStop { cause, advice } = error {
            self.context.reserve.retire();
            self.stop_loudly(cause, advice);
            // Nothing is accepted any more.
            self.show_what_waits().await;
            stop.cancelled().await;
            return false;
        }
        self.recover(&error);
        tokio::time::sleep(retry::delay(attempt, RETRY_MAX)).await;
        true
    }

    /// What the state holds, for those who watch: no pipeline tells.
    async fn show_what_waits(&self) {
        let (disk, settings) = (Arc::clone(&self.disk), Arc::clone(&self.settings));
        let (status, clock) = (self.status(), self.context.clock.clone());
        let looking = move || holdings::show(&disk, &settings.name, &status, &clock);
        // A panic there is no reason to stop: what was shown before stays.
        let _ = tokio::task::spawn_blocking(looking).await;
    }

    fn stop_loudly(&self, cause: String, advice: String) {
        let stream = &self.settings.name;
        tracing::error!(
            stream,
            cause,
            advice,
            "the stream has stopped: a person must decide"
        );
        self.door.stop(cause.clone());
        self.context
            .status
            .set_state(StreamState::Stopped { cause, advice });
    }

    fn recover(&self, error: &StreamError) {
        let (stream, cause) = (&self.settings.name, with_causes(error));
        if let Some(unsaid) = self.context.status.repeats().due("recovering", &cause) {
            tracing::error!(stream, cause, unsaid, "recovering from the last checkpoint");
        }
        self.stall(cause);
    }

    fn stall(&self, cause: String) {
        self.door.shut(cause.clone());
        self.context
            .status
            .set_state(StreamState::Stalled { cause });
    }
}
