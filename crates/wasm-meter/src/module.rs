//! One core module: where its sections are, and what is added to them.

use wasm_encoder::{
    BlockType, BranchHint, BranchHints, CodeSection, ConstExpr, Encode as _, GlobalType,
    MemorySection, Section as _, ValType,
};
use wasmparser::{
    BinaryReader, CompositeInnerType, FunctionBody, MemoryType, Parser, Payload, TypeRef,
};

use super::body::{self, Added, Metered, Signature};
use super::cost::{self, Function};
use super::{HEADER, Loops, MeterError, bulk, put_section, section};

/// Ids of sections, in the order in which a module has them.
const ORDER: [u8; 13] = [
    TYPE, 2, FUNCTION, 4, MEMORY, 13, GLOBAL, 7, 8, 9, 12, CODE, 11,
];
const CUSTOM: u8 = 0;
const TYPE: u8 = 1;
const FUNCTION: u8 = 3;
const MEMORY: u8 = 5;
const GLOBAL: u8 = 6;
const CODE: u8 = 10;

/// What a module has before anything is added to it.
#[derive(Default)]
struct Survey<'a> {
    /// What each type is.
    signatures: Vec<Signature>,
    imported_functions: u32,
    memories: Vec<MemoryType>,
    globals: u32,
    /// The type of each function of its own.
    types: Vec<u32>,
    bodies: Vec<FunctionBody<'a>>,
}

/// The module, rewritten.
pub(super) fn metered(bytes: &[u8], loops: Loops) -> Result<Vec<u8>, MeterError> {
    let survey = Survey::of(bytes)?;
    let is_plain = |memory: &MemoryType| !memory.memory64 && memory.page_size_log2.is_none();
    if survey.memories.len() > 1 || !survey.memories.iter().all(is_plain) {
        return Err(MeterError::Memory);
    }
    if survey.bodies.is_empty() {
        return Ok(bytes.to_vec()); // nothing in it runs
    }
    let (hints, code) = survey.code(loops)?;
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 2);
    let mut reader = BinaryReader::new(bytes, 0);
    out.extend_from_slice(reader.read_bytes(HEADER)?);
    let mut own_memory = survey.memories.is_empty();
    let mut own_global = true;
    while !reader.eof() {
        let (id, content) = section(&mut reader)?;
        if own_memory && comes_after(id, MEMORY) {
            own_memory = false;
            memory().append_to(&mut out);
        }
        if own_global && (id == GLOBAL || comes_after(id, GLOBAL)) {
            own_global = false;
            let globals = if id == GLOBAL { content } else { &[0] };
            put_section(&mut out, GLOBAL, &with_more(globals, 1, &counter())?);
        }
        match id {
            TYPE => put_section(&mut out, id, &with_more(content, 1, &bulk::TYPE)?),
            FUNCTION => {
                let mut types = Vec::new();
                for _ in 0..bulk::FUNCTIONS {
                    count(&survey.signatures).encode(&mut types);
                }
                put_section(&mut out, id, &with_more(content, bulk::FUNCTIONS, &types)?);
            }
            GLOBAL => {}
            CODE => {
                hints.append_to(&mut out);
                code.append_to(&mut out);
            }
            CUSTOM if tells_of_code(content)? => {}
            _ => put_section(&mut out, id, content),
        }
    }
    Ok(out)
}

impl<'a> Survey<'a> {
    fn of(bytes: &'a [u8]) -> wasmparser::Result<Self> {
        let mut survey = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            survey.add(payload?)?;
        }
        Ok(survey)
    }

    fn add(&mut self, payload: Payload<'a>) -> wasmparser::Result<()> {
        match payload {
            Payload::TypeSection(groups) => {
                for group in groups {
                    self.signatures.extend(group?.types().map(Signature::of));
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    match import?.ty {
                        TypeRef::Func(_) | TypeRef::FuncExact(_) => self.imported_functions += 1,
                        TypeRef::Memory(memory) => self.memories.push(memory),
                        TypeRef::Global(_) => self.globals += 1,
                        TypeRef::Table(_) | TypeRef::Tag(_) => {}
                    }
                }
            }
            Payload::FunctionSection(types) => {
                self.types = types.into_iter().collect::<wasmparser::Result<_>>()?;
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    self.memories.push(memory?);
                }
            }
            Payload::GlobalSection(globals) => self.globals += globals.count(),
            Payload::CodeSectionEntry(body) => self.bodies.push(body),
            _ => {}
        }
        Ok(())
    }

    /// The code section, and a section that says which branches are hardly ever taken.
    fn code(&self, loops: Loops) -> wasmparser::Result<(BranchHints, CodeSection)> {
        let functions = self.bodies.iter().map(Function::read);
        let functions = functions.collect::<wasmparser::Result<Vec<_>>>()?;
        let added = Added {
            imported: self.imported_functions,
            counter: self.globals,
            copy: self.imported_functions + count(&self.bodies),
            fill: self.imported_functions + count(&self.bodies) + 1,
        };
        let costs = cost::of(&functions, added.imported);
        let (mut hints, mut code) = (BranchHints::new(), CodeSection::new());
        let mut add = |metered: Metered| {
            if !metered.unlikely.is_empty() {
                let unlikely = metered.unlikely.iter().map(|offset| BranchHint {
                    branch_func_offset: *offset,
                    branch_hint_value: 0,
                });
                hints.function_hints(self.imported_functions + code.len(), unlikely);
            }
            code.raw(&metered.body);
        };
        for ((body, cost), ty) in self.bodies.iter().zip(&costs).zip(&self.types) {
            let signature = self.signatures.get(*ty as usize);
            let signature = signature.copied().unwrap_or_default();
            add(body::metered(body, signature, cost, &added, loops)?);
        }
        for function in bulk::functions(added.counter) {
            add(function);
        }
        Ok((hints, code))
    }
}

impl Signature {
    /// Of a type that is none of a function: nothing.
    fn of(ty: &wasmparser::SubType) -> Self {
        let CompositeInnerType::Func(ty) = &ty.composite_type.inner else {
            return Self::default();
        };
        let result = match ty.results() {
            [] => Some(BlockType::Empty),
            [wasmparser::ValType::I32] => Some(BlockType::Result(ValType::I32)),
            [wasmparser::ValType::I64] => Some(BlockType::Result(ValType::I64)),
            [wasmparser::ValType::F32] => Some(BlockType::Result(ValType::F32)),
            [wasmparser::ValType::F64] => Some(BlockType::Result(ValType::F64)),
            [wasmparser::ValType::V128] => Some(BlockType::Result(ValType::V128)),
            _ => None,
        };
        Self {
            params: count(ty.params()),
            result,
        }
    }
}

/// As a file of 4 GiB at most can have of anything.
fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

/// Whether the section `id` has its place behind where section `other` has its own. Custom ones stand
/// anywhere.
fn comes_after(id: u8, other: u8) -> bool {
    let place = |id| ORDER.iter().position(|section| *section == id);
    place(id) > place(other)
}

/// A memory that serves for asking only.
fn memory() -> MemorySection {
    let mut memories = MemorySection::new();
    memories.memory(wasm_encoder::MemoryType {
        minimum: 0,
        maximum: Some(0),
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    memories
}

/// What the counter is.
fn counter() -> Vec<u8> {
    let mut counter = Vec::new();
    let ty = GlobalType {
        val_type: ValType::I32,
        mutable: true,
        shared: false,
    };
    ty.encode(&mut counter);
    ConstExpr::i32_const(0).encode(&mut counter);
    counter
}

/// A section that begins with a number of items, with so many more at its end.
fn with_more(content: &[u8], more: u32, items: &[u8]) -> wasmparser::Result<Vec<u8>> {
    let mut reader = BinaryReader::new(content, 0);
    let count = reader.read_var_u32()?;
    let mut out = Vec::with_capacity(content.len() + items.len() + 1);
    count.saturating_add(more).encode(&mut out);
    out.extend_from_slice(&content[reader.original_position()..]);
    out.extend_from_slice(items);
    Ok(out)
}

/// Whether a custom section tells of places in the code, which are others now.
fn tells_of_code(content: &[u8]) -> wasmparser::Result<bool> {
    let name = BinaryReader::new(content, 0).read_string()?;
    Ok(name.starts_with("metadata.code.") || name.starts_with(".debug_"))
}
