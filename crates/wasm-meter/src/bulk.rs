//! Copies and fills: functions that count how long they are. Short copies, of which there are many, are
//! done here: the engine calls the host for each.

use wasm_encoder::{BlockType, Encode as _, InstructionSink, MemArg};

use super::body::Metered;

/// The type of the functions: `[i32 i32 i32] -> []`.
pub(super) const TYPE: [u8; 6] = [0x60, 3, 0x7f, 0x7f, 0x7f, 0];
/// How many there are.
pub(super) const FUNCTIONS: u32 = 2;

/// Their parameters: where to, from where or what, how many bytes.
const TO: u32 = 0;
const FROM: u32 = 1;
const LEN: u32 = 2;
/// Bytes that take as long as an operator does, as a power of two.
const BYTES_LOG2: i32 = 4;

/// The functions in place of `memory.copy` and `memory.fill`.
pub(super) fn functions(counter: u32) -> [Metered; 2] {
    [copy(counter), fill(counter)]
}

fn copy(counter: u32) -> Metered {
    let mut copy = Metered::default();
    0_u32.encode(&mut copy.body);
    let mut code = copy.instructions();
    code.local_get(LEN).i32_const(64).i32_le_u();
    code.if_(BlockType::Empty);
    for (at_least, width, places) in SHORT {
        code.local_get(LEN).i32_const(at_least).i32_ge_u();
        code.if_(BlockType::Empty);
        width.copy(&mut code, places);
        code.return_().end();
    }
    code.end();
    count_bytes(&mut copy, counter);
    copy.instructions()
        .local_get(TO)
        .local_get(FROM)
        .local_get(LEN)
        .memory_copy(0, 0)
        .end();
    copy
}

/// How copies of so many bytes and more are done: in pieces that may overlap, from both ends.
const SHORT: [(i32, Width, &[PieceStart]); 5] = [
    (
        33,
        Width::V128,
        &[
            PieceStart::Begin(0),
            PieceStart::Begin(16),
            PieceStart::End(32),
            PieceStart::End(16),
        ],
    ),
    (
        16,
        Width::V128,
        &[PieceStart::Begin(0), PieceStart::End(16)],
    ),
    (8, Width::I64, &[PieceStart::Begin(0), PieceStart::End(8)]),
    (4, Width::I32, &[PieceStart::Begin(0), PieceStart::End(4)]),
    (
        1,
        Width::Byte,
        &[PieceStart::Begin(0), PieceStart::Middle, PieceStart::End(1)],
    ),
];

/// Where a piece begins.
#[derive(Clone, Copy)]
enum PieceStart {
    /// So many bytes after the beginning.
    Begin(i32),
    /// Half way.
    Middle,
    /// So many bytes before the end.
    End(i32),
}

/// How large a piece is.
#[derive(Clone, Copy)]
enum Width {
    Byte,
    I32,
    I64,
    V128,
}

impl Width {
    /// Loads all pieces before it stores any: where they come from may overlap with where they go.
    fn copy(self, code: &mut InstructionSink<'_>, places: &[PieceStart]) {
        let at = MemArg {
            offset: 0,
            align: 0,
            memory_index: 0,
        };
        for place in places {
            place.address(code, TO);
            place.address(code, FROM);
            match self {
                Self::Byte => code.i32_load8_u(at),
                Self::I32 => code.i32_load(at),
                Self::I64 => code.i64_load(at),
                Self::V128 => code.v128_load(at),
            };
        }
        for _ in places {
            match self {
                Self::Byte => code.i32_store8(at),
                Self::I32 => code.i32_store(at),
                Self::I64 => code.i64_store(at),
                Self::V128 => code.v128_store(at),
            };
        }
    }
}

impl PieceStart {
    fn address(self, code: &mut InstructionSink<'_>, from: u32) {
        code.local_get(from);
        match self {
            Self::Begin(0) => code,
            Self::Begin(after) => code.i32_const(after).i32_add(),
            Self::Middle => code.local_get(LEN).i32_const(1).i32_shr_u().i32_add(),
            Self::End(before) => code.local_get(LEN).i32_add().i32_const(before).i32_sub(),
        };
    }
}

fn fill(counter: u32) -> Metered {
    let mut fill = Metered::default();
    0_u32.encode(&mut fill.body);
    count_bytes(&mut fill, counter);
    fill.instructions()
        .local_get(TO)
        .local_get(FROM)
        .local_get(LEN)
        .memory_fill(0)
        .end();
    fill
}

fn count_bytes(function: &mut Metered, counter: u32) {
    function
        .instructions()
        .global_get(counter)
        .local_get(LEN)
        .i32_const(BYTES_LOG2)
        .i32_shr_u();
    function.count_sum(counter);
}
