//! Partition queries, in the language of jq 1.6: on jaq, bounded and pure.
//!
//! A query sees one record and nothing else: functions that look at the clock, the environment or
//! other inputs are refused when it is compiled. Its evaluation is bounded by fuel and by native
//! stack (`meter`); its values and its matcher of regular expressions are ours so that nothing
//! escapes the count (`value`, `matcher`).
//!
//! Queries do what they do in jq 1.6: where jaq's library differs, definitions of ours
//! (`definitions.jq`) and natives (`natives`) stand in for it; where its language does, a query is
//! written anew in terms that mean the same to both (`rewrite`). `docs/src/jq.md` lists what
//! differs still, and the differential tests allow nothing else.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests measure"))]

mod fault;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod guard;
mod matcher;
mod message;
mod meter;
mod natives;
mod number;
mod read;
mod rewrite;
mod static_check;
mod value;

use std::io;

use jaq_core::data::HasLut;
use jaq_core::load::parse::Def;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, DataT, Lut, Vars};

pub use fault::QueryFault;
use guard::CheckedQuery;
pub use guard::{ResultKey, literal, parse};
pub use meter::{FUEL, burned};
pub use natives::{entries, get};
pub use number::print_number;
pub use read::{ReadError, read};
pub use static_check::{is_constant, never_keys, never_time};
pub use value::Value;

/// The longest query, in bytes (Firehose's limit on a processor parameter, which counts
/// characters).
const QUERY_BYTES_MAX: usize = 5120;
/// Stack of the thread that compiles: the parser recurses as deep as the query nests.
const COMPILE_STACK_BYTES: usize = 256 << 20;
/// The name that the query is loaded under.
const MAIN: &str = "_query";

/// A compiled query.
pub struct Query {
    filter: jaq_core::Filter<JaqData>,
    /// Keys of the object it returns, where they can be told without running it, with the bytes
    /// each is written in.
    pub keys: Option<Vec<ResultKey>>,
}

/// jaq's view of our data: our values, and a table of terms that counts who asks for it.
struct JaqData;

impl DataT for JaqData {
    type V<'a> = Value;
    type Data<'a> = MeteredLut<'a>;
}

#[derive(Clone)]
struct MeteredLut<'a>(&'a Lut<JaqData>);

impl<'a> HasLut<'a, JaqData> for MeteredLut<'a> {
    fn lut(&self) -> &'a Lut<JaqData> {
        meter::step();
        self.0
    }
}

impl Query {
    /// Compiles a query; faults say what is wrong and where.
    pub fn compile(text: &str) -> Result<Self, Vec<QueryFault>> {
        if text.len() > QUERY_BYTES_MAX {
            let message = format!("the query is longer than {QUERY_BYTES_MAX} bytes");
            return Err(vec![QueryFault::whole(message)]);
        }
        on_deep_stack(|| compile(text)).unwrap_or_else(|error| Err(vec![not_looked_at(&error)]))
    }

    /// The query's one output for a record; the error is a sentence for the failed record.
    pub fn run(&self, input: Value) -> Result<Value, String> {
        let done = meter::bounded(|| {
            let ctx = Ctx::<JaqData>::new(MeteredLut(&self.filter.lut), Vars::new([]));
            let mut outputs = self.filter.id.run((ctx, input));
            let message = |error: jaq_core::Exn<'_, Value>| match error.get_err() {
                Ok(error) => failed(&error),
                Err(_) => "the query failed: it breaks out of itself".into(),
            };
            let first = outputs
                .next()
                .ok_or("the query returned nothing")?
                .map_err(message)?;
            match outputs.next() {
                None => Ok(first),
                Some(Ok(_)) => Err("the query returned more than one value".into()),
                Some(Err(error)) => Err(message(error)),
            }
        });
        done.unwrap_or_else(|stopped| Err(stopped.into_owned()))
    }
}

/// Runs what recurses as deep as a query nests. The error says why the system has no thread for it, or
/// that the work has panicked.
pub fn on_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(COMPILE_STACK_BYTES);
        let thread = builder.spawn_scoped(scope, work)?;
        let panicked = |_| io::Error::other("the compiler of queries has panicked");
        thread.join().map_err(panicked)
    })
}

/// Nobody has looked at the query: whether anything is wrong with it is not known.
fn not_looked_at(error: &io::Error) -> QueryFault {
    let message = format!("the query was not looked at: no thread could compile it: {error}");
    QueryFault {
        is_transient: true,
        ..QueryFault::whole(message).help(
            "this is no fault of the query: see how much memory and how many threads this process may \
             have (ulimit -v, ulimit -u), and try again",
        )
    }
}

fn compile(text: &str) -> Result<Query, Vec<QueryFault>> {
    let CheckedQuery { term, keys } = guard::check(text)?;
    let query = Def {
        name: MAIN,
        args: Vec::new(),
        body: rewrite::term(term),
    };
    let main = File {
        code: MAIN,
        path: (),
    };
    let arena = Arena::default();
    let defs = natives::defs().map(as_long_as_query).chain([query]);
    let loaded = Loader::new(defs).load(&arena, main);
    let modules = loaded.map_err(|_| vec![QueryFault::whole("the query could not be loaded")])?;
    let compiled = Compiler::default()
        .with_funs(natives::funs())
        .compile(modules);
    let filter = compiled.map_err(|errors| guard::undefined(text, &errors))?;
    Ok(Query { filter, keys })
}

fn as_long_as_query<'q>(def: Def<&'static str>) -> Def<&'q str> {
    def
}

/// jaq's message, cut where it gets long.
fn failed(error: &value::Error) -> String {
    format!("the query failed: {}", message::cut(error))
}

#[cfg(test)]
mod tests;
