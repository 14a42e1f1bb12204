//! What is put into a function: counting once a run, where something may take long, and at each turn of a
//! loop; and copies that count.

use std::ops::Range;

use wasm_encoder::{BlockType, Encode as _, InstructionSink, ValType};
use wasmparser::{BinaryReader, FunctionBody, Operator};

use super::cost::Cost;
use super::{
    ASK, BUDGET, CHEAP, GIVE_UP, HEAVY, IMPORTED, LOOP_BUDGET, Loops, PATIENT_LOOP_BUDGET,
};

/// Indices of what a module has, and of what is added to it.
pub(super) struct Added {
    /// How many functions the module imports: those before all others.
    pub(super) imported: u32,
    /// The global that counts.
    pub(super) counter: u32,
    /// The functions in place of `memory.copy` and `memory.fill`.
    pub(super) copy: u32,
    pub(super) fill: u32,
}

/// A function's type, as far as it matters.
#[derive(Clone, Copy, Default)]
pub(super) struct Signature {
    pub(super) params: u32,
    /// The type of a block that has its results; `None` where no simple one has.
    pub(super) result: Option<BlockType>,
}

/// A function's new body, from its locals to its end.
#[derive(Default)]
pub(super) struct Metered {
    pub(super) body: Vec<u8>,
    /// Where in it the branches are that are hardly ever taken.
    pub(super) unlikely: Vec<u32>,
}

/// A function on its way from the old body to the new one.
struct Rewriting<'a> {
    added: &'a Added,
    old: &'a [u8],
    /// So much of the old body is dealt with.
    done: usize,
    /// Blocks that are open.
    depth: u32,
    /// What is counted where it is left.
    at_end: Option<u32>,
    new: Metered,
}

/// The function, with what is to be counted in it.
pub(super) fn metered(
    body: &FunctionBody<'_>,
    signature: Signature,
    cost: &Cost,
    added: &Added,
    loops: Loops,
) -> wasmparser::Result<Metered> {
    let start = body.range().start;
    let mut operators = body.get_operators_reader()?;
    let mut rewriting = Rewriting {
        added,
        old: body.as_bytes(),
        done: 0,
        depth: 0,
        at_end: None,
        new: Metered::default(),
    };
    let locals_end = operators.original_position() - start;
    let turns = rewriting.locals(body, locals_end, signature.params, !cost.loops.is_empty())?;
    if let Some(weight) = cost.run {
        rewriting.begin(weight, signature, loops);
    }
    let mut weights = cost.loops.iter();
    while !operators.eof() {
        let (operator, begin) = operators.read_with_offset()?;
        let at = begin - start..operators.original_position() - start;
        if let Some(weight) = rewriting.at_end {
            rewriting.end(&operator, &at, weight);
        }
        match (&operator, weights.as_slice().first()) {
            (Operator::Loop { .. }, Some(weight)) => {
                weights.next();
                rewriting.keep_up_to(at.end);
                rewriting.new.count_turn(turns, *weight, loops);
            }
            _ => rewriting.operator(&operator, at),
        }
    }
    rewriting.keep_up_to(rewriting.old.len());
    Ok(rewriting.new)
}

/// What an operator is reckoned at that may take much longer than others.
fn dear(operator: &Operator<'_>, imported: u32) -> Option<u32> {
    match operator {
        Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
            (*function_index < imported).then_some(IMPORTED)
        }
        Operator::CallIndirect { .. }
        | Operator::ReturnCallIndirect { .. }
        | Operator::CallRef { .. }
        | Operator::ReturnCallRef { .. } => Some(CHEAP),
        Operator::MemoryInit { .. }
        | Operator::MemoryGrow { .. }
        | Operator::TableInit { .. }
        | Operator::TableCopy { .. }
        | Operator::TableFill { .. }
        | Operator::TableGrow { .. } => Some(HEAVY),
        _ => None,
    }
}

impl Rewriting<'_> {
    /// Counts the function's run: in the swift version where it is left, for where it begins all
    /// parameters have to survive the question, which is most of what metering costs. Runs that have not
    /// ended, as many as the stack has room for, are not counted then; so the patient version counts
    /// where they begin.
    fn begin(&mut self, weight: u32, signature: Signature, loops: Loops) {
        match signature.result {
            Some(result) if loops == Loops::GiveUp => {
                self.at_end = Some(weight);
                self.new.instructions().block(result);
            }
            _ => self.new.count(self.added.counter, weight),
        }
    }

    /// Has all ways out of the function lead through its end, where it is counted: branches to it do
    /// once there is a block around what it does. (Exceptions are not compiled in.)
    fn end(&mut self, operator: &Operator<'_>, at: &Range<usize>, weight: u32) {
        match operator {
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::TryTable { .. } => self.depth += 1,
            Operator::End if self.depth > 0 => self.depth -= 1,
            Operator::End => {
                self.keep_up_to(at.start);
                self.new.instructions().end();
                self.new.count(self.added.counter, weight);
            }
            Operator::Return => {
                self.keep_up_to(at.start);
                self.new.instructions().br(self.depth);
                self.done = at.end;
            }
            Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. } => {
                self.keep_up_to(at.start);
                self.new.count(self.added.counter, weight);
            }
            _ => {}
        }
    }

    /// Deals with an operator that begins no loop.
    fn operator(&mut self, operator: &Operator<'_>, at: Range<usize>) {
        if let Some(weight) = dear(operator, self.added.imported) {
            self.keep_up_to(at.start);
            self.new.count(self.added.counter, weight);
        }
        let replacement = match operator {
            Operator::MemoryCopy { .. } => self.added.copy,
            Operator::MemoryFill { .. } => self.added.fill,
            _ => return,
        };
        self.keep_up_to(at.start);
        self.new.instructions().call(replacement);
        self.done = at.end;
    }

    /// Takes over what the old body has up to there.
    fn keep_up_to(&mut self, end: usize) {
        self.new.body.extend_from_slice(&self.old[self.done..end]);
        self.done = end;
    }

    /// Takes over the locals, which end there, and adds the one that counts turns where there are any.
    /// Returns its index.
    fn locals(
        &mut self,
        body: &FunctionBody<'_>,
        end: usize,
        params: u32,
        has_loops: bool,
    ) -> wasmparser::Result<u32> {
        if !has_loops {
            self.keep_up_to(end);
            return Ok(0);
        }
        let mut turns = params;
        for group in body.get_locals_reader()? {
            turns = turns.saturating_add(group?.0);
        }
        let mut reader = BinaryReader::new(self.old, 0);
        let groups = reader.read_var_u32()?;
        groups.saturating_add(1).encode(&mut self.new.body);
        self.done = reader.original_position();
        self.keep_up_to(end);
        1_u32.encode(&mut self.new.body);
        ValType::I32.encode(&mut self.new.body);
        Ok(turns)
    }
}

impl Metered {
    pub(super) fn instructions(&mut self) -> InstructionSink<'_> {
        InstructionSink::new(&mut self.body)
    }

    /// Adds to the global counter, and asks when it is full.
    fn count(&mut self, counter: u32, weight: u32) {
        let weight = constant(weight.min(BUDGET));
        self.instructions().global_get(counter).i32_const(weight);
        self.count_sum(counter);
    }

    /// Makes the sum of what is on the stack the global counter's, and asks when that is full.
    pub(super) fn count_sum(&mut self, counter: u32) {
        self.instructions()
            .i32_add()
            .global_set(counter)
            .global_get(counter)
            .i32_const(constant(BUDGET))
            .i32_gt_u();
        self.begin_unlikely();
        self.instructions()
            .i32_const(ASK)
            .memory_grow(0)
            .drop()
            .i32_const(0)
            .global_set(counter)
            .end();
    }

    /// Adds to the local counter, and does what loops do when it is full.
    fn count_turn(&mut self, turns: u32, weight: u32, loops: Loops) {
        let budget = match loops {
            Loops::GiveUp => LOOP_BUDGET,
            Loops::Ask => PATIENT_LOOP_BUDGET,
        };
        self.instructions()
            .local_get(turns)
            .i32_const(constant(weight.min(budget)))
            .i32_add()
            .local_tee(turns)
            .i32_const(constant(budget))
            .i32_gt_u();
        self.begin_unlikely();
        match loops {
            // The limiter ends the call: nothing that comes after is ever reached.
            Loops::GiveUp => self
                .instructions()
                .i32_const(GIVE_UP)
                .memory_grow(0)
                .unreachable()
                .end(),
            Loops::Ask => self
                .instructions()
                .i32_const(ASK)
                .memory_grow(0)
                .drop()
                .i32_const(0)
                .local_set(turns)
                .end(),
        };
    }

    /// Opens a block that is hardly ever entered.
    fn begin_unlikely(&mut self) {
        let here = u32::try_from(self.body.len()).unwrap_or(u32::MAX);
        self.unlikely.push(here);
        self.instructions().if_(BlockType::Empty);
    }
}

/// A weight or a budget as an operand.
fn constant(weight: u32) -> i32 {
    weight.cast_signed()
}
