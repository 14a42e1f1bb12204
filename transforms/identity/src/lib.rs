//! The smallest transform: every record passes as it is. It shows what a module costs by itself.

use firehose_transform::{Failure, NoConfig, Outcome, Record, Transform, export};

/// Every record passes as it is.
pub struct Identity;

impl Transform for Identity {
    type Config = NoConfig;

    fn configure(_: NoConfig) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn transform(&mut self, record: Record) -> Result<Outcome, Failure> {
        Ok(Outcome::ok(record.data))
    }
}

export!(Identity);

#[cfg(test)]
mod tests {
    #[test]
    fn pairs() {
        firehose_transform::pairs::check::<super::Identity>("pairs");
    }
}
