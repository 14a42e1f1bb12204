//! Calls of a store that panics while it is waited for: to the caller that is a failed call, as any other. A publication
//! waits for its answer, so one that never came would hold its stream up without a word. What a store answers at once, such
//! as whether an object needs an upload, is not caught: it looks at a number.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use super::PublishError;

/// What a call of a store comes to; a panic in it, which the panic hook has told of, may pass. The call is not polled
/// again after it.
pub async fn caught<T>(
    call: impl Future<Output = Result<T, PublishError>>,
) -> Result<T, PublishError> {
    let mut call = pin!(call);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)));
        polled.unwrap_or_else(|panic| Poll::Ready(Err(of_panic(&*panic))))
    })
    .await
}

fn of_panic(panic: &(dyn Any + Send)) -> PublishError {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let said = said.unwrap_or("it said nothing");
    PublishError::Transient(format!("the store has panicked: {said}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use uuid::Uuid;

    use super::*;
    use crate::destination::{
        Body, Conditional, Destination, Keeper, Publication, Publisher, Uploads,
    };
    use crate::shard::Pending;

    /// Answers for so many objects of a group, and panics in all else.
    #[derive(Debug)]
    struct Faulty {
        answers: Option<usize>,
    }

    impl Publisher for Faulty {
        fn describe(&self) -> String {
            "faulty".to_owned()
        }

        fn group_max(&self) -> usize {
            3
        }

        fn in_flight_max(&self) -> usize {
            1
        }

        fn publish<'a>(
            &'a self,
            _: &'a [Publication],
        ) -> Pending<'a, Vec<Result<(), PublishError>>> {
            let answers = self.answers.expect("this one is meant");
            Box::pin(async move { vec![Ok(()); answers] })
        }

        fn holds<'a>(&'a self, _: &'a Publication) -> Pending<'a, Result<bool, PublishError>> {
            Box::pin(async { panic!("this one is meant") })
        }

        fn uploads(&self) -> Option<&dyn Uploads> {
            panic!("this one is meant")
        }
    }

    impl Keeper for Faulty {
        fn claim<'a>(&'a self, _: &'a str, _: &'a [u8]) -> Pending<'a, Result<bool, PublishError>> {
            Box::pin(async {
                tokio::task::yield_now().await;
                panic!("this one is {}", "meant")
            })
        }

        fn probe<'a>(&'a self, _: &'a str) -> Pending<'a, Result<Conditional, PublishError>> {
            panic!("this one is meant")
        }
    }

    impl Body for Faulty {
        fn read(&self, _: u64, _: usize) -> std::io::Result<Bytes> {
            Ok(Bytes::new())
        }
    }

    fn object() -> Publication {
        Publication {
            object_id: Uuid::new_v4(),
            key: "data/1".to_owned(),
            size: 0,
            crc64nvme: 0,
            was: Vec::new(),
            content_type: "application/octet-stream",
            content_encoding: None,
            schema: None,
            upload_id: None,
            parts: None,
            body: Arc::new(Faulty { answers: None }),
        }
    }

    fn faulty(answers: Option<usize>) -> Destination {
        Destination::new(Faulty { answers })
    }

    const PANICKED: &str = "the store has panicked: this one is meant";

    #[tokio::test]
    async fn a_panic_of_a_store_fails_the_call_alone_and_may_pass() {
        let store = faulty(None);
        let panicked = || PublishError::Transient(PANICKED.to_owned());
        let group = [object(), object()];
        let published = store.publish(&group).await;
        assert_eq!(published, [Err(panicked()), Err(panicked())]);
        assert_eq!(store.holds(&group[0]).await, Err(panicked()));
        assert_eq!(store.begin_upload(&group[0]).await, Err(panicked()));
        assert_eq!(store.send_full_parts(&group[0], 0).await, Err(panicked()));
        assert_eq!(store.abort_upload("data/1", "1").await, Err(panicked()));
        assert_eq!(store.claim("key", b"me").await, Err(panicked()));
        assert_eq!(store.probe("key").await, Err(panicked()));
    }

    #[tokio::test]
    async fn an_object_that_a_store_says_nothing_of_is_tried_again() {
        let group = [object(), object(), object()];
        for answers in 0..5 {
            let published = faulty(Some(answers)).publish(&group).await;
            assert_eq!(published.len(), group.len(), "one for each");
            let (told, untold) = published.split_at(answers.min(group.len()));
            assert!(told.iter().all(Result::is_ok), "{published:?}");
            let may_pass =
                |one: &Result<(), PublishError>| one.as_ref().is_err_and(PublishError::may_pass);
            assert!(untold.iter().all(may_pass), "{published:?}");
        }
    }
}
