//! Pleasant ways to say what became of a record.

use crate::{Outcome, Output};

impl Outcome {
    /// One record comes out.
    pub fn ok(data: impl Into<Vec<u8>>) -> Self {
        Self::Ok(Output::new(data))
    }

    /// Several records come out, in this order.
    pub fn many<T: Into<Output>>(outputs: impl IntoIterator<Item = T>) -> Self {
        Self::Many(outputs.into_iter().map(Into::into).collect())
    }

    /// Sets a partition key of all records that come out.
    #[must_use]
    pub fn with_key(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let key = (name.into(), value.into());
        match &mut self {
            Self::Ok(output) => output.partition_keys.push(key),
            Self::Many(outputs) => {
                for output in outputs {
                    output.partition_keys.push(key.clone());
                }
            }
            Self::Dropped | Self::Failed(_) => {}
        }
        self
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self::Ok(output)
    }
}

impl Output {
    /// A record that comes out.
    pub fn new(data: impl Into<Vec<u8>>) -> Self {
        Self {
            data: data.into(),
            partition_keys: Vec::new(),
        }
    }

    /// Sets a partition key, for `!{partitionKeyFromTransform:name}` in the stream's prefix.
    #[must_use]
    pub fn with_key(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.partition_keys.push((name.into(), value.into()));
        self
    }
}

impl<T: Into<Vec<u8>>> From<T> for Output {
    fn from(data: T) -> Self {
        Self::new(data)
    }
}
