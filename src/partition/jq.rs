//! Partition queries on jaq.

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data, unwrap_valr};
use jaq_json::Val;

use super::fault::{Field, PartitionFault};

/// A compiled query.
pub(super) struct Query {
    filter: jaq_core::Filter<data::JustLut<Val>>,
}

impl Query {
    pub(super) fn compile(text: &str, field: Field) -> Result<Self, Vec<PartitionFault>> {
        let defs = jaq_core::defs()
            .chain(jaq_std::defs())
            .chain(jaq_json::defs());
        let funs = jaq_core::funs()
            .chain(jaq_std::funs())
            .chain(jaq_json::funs());
        let arena = Arena::default();
        let fault = |message: String| vec![PartitionFault::whole(field, message)];
        let modules = Loader::new(defs)
            .load(
                &arena,
                File {
                    code: text,
                    path: (),
                },
            )
            .map_err(|_| fault("the query does not parse".into()))?;
        let filter = Compiler::default()
            .with_funs(funs)
            .compile(modules)
            .map_err(|_| fault("the query does not compile".into()))?;
        Ok(Self { filter })
    }

    pub(super) fn run(&self, input: Val) -> Result<Val, String> {
        let ctx = Ctx::<data::JustLut<Val>>::new(&self.filter.lut, Vars::new([]));
        let mut outputs = self.filter.id.run((ctx, input)).map(unwrap_valr);
        let first = outputs.next().ok_or("the query has no output")?;
        let first = first.map_err(|error| error.to_string())?;
        match outputs.next() {
            None => Ok(first),
            Some(_) => Err("the query has more than one output".into()),
        }
    }
}
