//! What counts, and how much.
//!
//! Loops count at each turn. What is dear, and calls of what only shows when it is called, count where
//! they are. Beside that a function takes as long as its operators and its callees. If that is little,
//! whoever calls it counts for it. The others count for themselves, once a run, and among functions that
//! call each other in a circle one does at least.

use wasmparser::{FunctionBody, Operator};

use super::{CHEAP, LOOPING};

/// What reading a function once tells of it.
#[derive(Debug)]
pub(super) struct Function {
    /// Operators outside of all loops; then in each loop, without the loops in it, in the order in
    /// which they begin.
    regions: Vec<u32>,
    /// In which region it calls which function.
    calls: Vec<(usize, u32)>,
}

/// What is to be counted in a function.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cost {
    /// For each run of it; `None`: its callers count for it.
    pub(super) run: Option<u32>,
    /// At each turn of its loops, in the order in which they begin.
    pub(super) loops: Vec<u32>,
}

impl Function {
    /// Reads a function.
    pub(super) fn read(body: &FunctionBody<'_>) -> wasmparser::Result<Self> {
        let (mut regions, mut calls) = (vec![0_u32], Vec::new());
        // The region in which each block that is open lies.
        let (mut outer, mut region) = (Vec::new(), 0);
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            match operators.read()? {
                Operator::Loop { .. } => {
                    outer.push(region);
                    region = regions.len();
                    regions.push(0);
                }
                Operator::Block { .. } | Operator::If { .. } | Operator::TryTable { .. } => {
                    outer.push(region);
                }
                Operator::End => region = outer.pop().unwrap_or_default(),
                Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                    calls.push((region, function_index));
                }
                _ => {}
            }
            regions[region] = regions[region].saturating_add(1);
        }
        Ok(Self { regions, calls })
    }

    /// What each region takes, where calls take so much.
    fn totals(&self, call: impl Fn(u32) -> u32) -> Vec<u32> {
        let mut totals = self.regions.clone();
        if totals.len() > 1 {
            totals[0] = totals[0].saturating_add(LOOPING);
        }
        for (region, callee) in &self.calls {
            totals[*region] = totals[*region].saturating_add(call(*callee));
        }
        totals
    }
}

/// What is to be counted in each function of a module that imports so many others.
pub(super) fn of(functions: &[Function], imported: u32) -> Vec<Cost> {
    let calls = Calls::settle(functions, imported);
    let cost = |(function, own): (&Function, &u32)| {
        let mut totals = function.totals(|callee| calls.cost(callee));
        let loops = totals.split_off(1);
        Cost {
            run: (*own == COUNTS).then_some(totals[0]),
            loops,
        }
    };
    functions.iter().zip(&calls.own).map(cost).collect()
}

/// What a call costs its caller of a function that counts for itself.
const COUNTS: u32 = 1;
/// What a call costs is not known yet. (The least that a function has is an end.)
const UNKNOWN: u32 = 0;

/// What a call of each function costs its caller.
struct Calls {
    imported: u32,
    own: Vec<u32>,
}

impl Calls {
    fn cost(&self, callee: u32) -> u32 {
        let own = callee.checked_sub(self.imported);
        let own = own.and_then(|own| self.own.get(own as usize));
        own.copied().unwrap_or(COUNTS)
    }

    /// Callees come before their callers. What is left then calls each other in circles; each circle
    /// opens where one of its functions counts.
    fn settle(functions: &[Function], imported: u32) -> Self {
        let mut calls = Self {
            imported,
            own: vec![UNKNOWN; functions.len()],
        };
        let mut callers = vec![Vec::new(); functions.len()];
        let mut open = vec![0_usize; functions.len()];
        for (index, function) in functions.iter().enumerate() {
            let callees = function.calls.iter();
            let callees = callees.filter_map(|(_, callee)| callee.checked_sub(imported));
            for callee in callees {
                if let Some(callers) = callers.get_mut(callee as usize) {
                    callers.push(index);
                    open[index] += 1;
                }
            }
        }
        let is_ready = |index: &usize| open[*index] == 0 || functions[*index].regions[0] > CHEAP;
        let mut ready: Vec<usize> = (0..functions.len()).filter(is_ready).collect();
        let mut first = 0;
        loop {
            while let Some(index) = ready.pop() {
                if calls.own[index] != UNKNOWN {
                    continue;
                }
                calls.own[index] = calls.cost_of(&functions[index]);
                for caller in &callers[index] {
                    open[*caller] -= 1;
                    if open[*caller] == 0 {
                        ready.push(*caller);
                    }
                }
            }
            let unknown = calls.own[first..].iter().position(|own| *own == UNKNOWN);
            let Some(unknown) = unknown else {
                return calls;
            };
            first += unknown;
            ready.push(first);
        }
    }

    /// What a call of a function costs its caller. Where a callee is unknown it is in a circle.
    fn cost_of(&self, function: &Function) -> u32 {
        let mut callees = function.calls.iter();
        let is_in_circle = callees.any(|(_, callee)| self.cost(*callee) == UNKNOWN);
        let total = function.totals(|callee| self.cost(callee))[0];
        if is_in_circle || total > CHEAP {
            COUNTS
        } else {
            total.max(COUNTS + 1)
        }
    }
}
