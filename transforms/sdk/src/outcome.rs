//! What became of a record, and pleasant ways to say so.

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// One record comes out.
    Ok(Output),
    /// Several come out, in this order. None at all is the same as `Dropped`.
    Many(Vec<Output>),
    /// It is left out on purpose, and counted.
    Dropped,
    /// It goes to the error prefix, with its original bytes and this message.
    Failed(String),
}

/// A record that comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its bytes.
    pub data: Vec<u8>,
    /// Partition keys for `!{partitionKeyFromTransform:name}` in the prefix: name and value. Of several
    /// transforms in a row, the last one that sets a name counts.
    pub partition_keys: Vec<(String, String)>,
}

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
