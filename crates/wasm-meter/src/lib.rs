//! Interruption of WebAssembly: a module is rewritten, before it is compiled, so that it asks the host from time to time
//! whether it may go on.
//!
//! Wasmtime's own way, epochs, looks at a clock in memory at each call and each turn of a loop: a fifth of the time of
//! JSON work, a quarter on loops over single bytes. Here operators are counted instead, and the host is asked when a
//! counter is full: by `memory.grow` for more than any memory can have. That fails, as the specification has it, but
//! not before the store's `ResourceLimiter` was asked, which looks at the time and may end the call. It takes no
//! import, so it works in components of any make, in `cabi_realloc` and in start functions.
//!
//! What costs most is not the counting but that code goes on after the host was asked: all values that a loop keeps in
//! registers have to survive that. So there are two versions of a module. In the swift one a loop that has had
//! `LOOP_BUDGET` ends the call. The patient one, in which loops ask and go on, is made when that happens, or when a
//! swift call runs over its time: the host decides when.
//!
//! Between two questions lie `BUDGET` operators, but for those in loops: a run of a function with loops counts as
//! `LOOPING` beside its other operators, and can have `LOOP_BUDGET` of them. Modules ask after some tens of
//! microseconds. One that is made to ask as late as it can (its functions end their loops just before they have to, and
//! call each other as deep as the stack allows) asks after a minute; once its patient version is compiled,
//! `PATIENT_LOOP_BUDGET` makes that a second.
//!
//! Reading order: this file (the core modules of a component), `module` (one of them), `cost` (what
//! counts, and how much), `body` (what is put into a function), `bulk` (copies take as long as they are).

mod body;
mod bulk;
mod cost;
mod module;
#[cfg(test)]
mod tests;

use wasm_encoder::Encode as _;
use wasmparser::BinaryReader;

/// Operators until the host is asked.
const BUDGET: u32 = 1 << 28;
/// What a run of a function with loops counts, beside the operators outside of its loops.
const LOOPING: u32 = 1 << 16;
/// Operators in the loops of one run of a function, in the swift version.
const LOOP_BUDGET: u32 = 1 << 23;
/// Operators in the loops of one run of a function until the host is asked, in the patient version.
const PATIENT_LOOP_BUDGET: u32 = 1 << 19;
/// A function of at most so many operators, its callees' included, counts nothing: its callers count them.
const CHEAP: u32 = 1 << 10;
/// Operators that a call of an imported function counts as: it may copy all of the memory.
const IMPORTED: u32 = 1 << 23;
/// Operators that one counts as which may touch a whole table or segment, or make memory grow.
const HEAVY: u32 = 1 << 24;

/// Bytes of a page of memory.
const PAGE_BYTES: usize = 64 << 10;
/// By how many pages a memory is asked to grow to ask the host whether the call may go on…
const ASK: i32 = -1;
/// …and to tell it that a loop has had its budget.
const GIVE_UP: i32 = -2;

/// What a loop does when it has had its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loops {
    /// It ends the call.
    GiveUp,
    /// It asks whether it may go on.
    Ask,
}

/// What is meant where a memory is asked to grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// The module wants memory.
    Real,
    /// The question whether the call may go on.
    Question,
    /// A loop has had its budget.
    GivenUp,
}

impl Growth {
    /// Reads what a limiter is asked for.
    pub fn of(current: usize, desired: usize) -> Self {
        let bytes = |pages: i32| pages.cast_unsigned() as usize * PAGE_BYTES;
        match desired.saturating_sub(current) {
            more if more == bytes(ASK) => Self::Question,
            more if more == bytes(GIVE_UP) => Self::GivenUp,
            _ => Self::Real,
        }
    }
}

/// Length of the header of a module and of a component.
const HEADER: usize = 8;
/// Ids of sections of a component.
const CORE_MODULE: u8 = 1;
const COMPONENT: u8 = 4;
/// How deep components may lie in each other.
const DEPTH_MAX: usize = 32;

/// Why a component is not rewritten.
#[derive(Debug, thiserror::Error)]
pub enum MeterError {
    /// It is malformed.
    #[error(transparent)]
    Malformed(#[from] wasmparser::BinaryReaderError),
    /// A component lies in 32 others.
    #[error("components lie in each other too deep")]
    TooDeep,
    /// Some module's memory cannot be asked to grow as the host is asked.
    #[error("a module may have one memory, of 32 bits and pages of 64 KiB")]
    Memory,
}

/// The component with all its core modules rewritten. What is malformed is an error here or when the
/// result is compiled, never a panic.
pub fn component(bytes: &[u8], loops: Loops) -> Result<Vec<u8>, MeterError> {
    nested(bytes, loops, 0)
}

fn nested(bytes: &[u8], loops: Loops, depth: usize) -> Result<Vec<u8>, MeterError> {
    if depth >= DEPTH_MAX {
        return Err(MeterError::TooDeep);
    }
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 4);
    let mut reader = BinaryReader::new(bytes, 0);
    out.extend_from_slice(reader.read_bytes(HEADER)?);
    while !reader.eof() {
        let (id, content) = section(&mut reader)?;
        match id {
            CORE_MODULE => put_section(&mut out, id, &module::metered(content, loops)?),
            COMPONENT => put_section(&mut out, id, &nested(content, loops, depth + 1)?),
            _ => put_section(&mut out, id, content),
        }
    }
    Ok(out)
}

/// The next section: its id and what it holds.
fn section<'a>(reader: &mut BinaryReader<'a>) -> wasmparser::Result<(u8, &'a [u8])> {
    let id = reader.read_u8()?;
    let size = reader.read_var_u32()? as usize;
    Ok((id, reader.read_bytes(size)?))
}

fn put_section(out: &mut Vec<u8>, id: u8, content: &[u8]) {
    out.push(id);
    content.encode(out);
}
