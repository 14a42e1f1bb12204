//! How much of everything a module may have. What a compiler takes follows from it, so this is looked at
//! first: a bomb is told what it has too much of, not that a process was killed. All numbers grow with
//! `compile_memory`.

use anyhow::ensure;
use wasmparser::{ElementItems, ElementSectionReader, FunctionBody, Parser, Payload, TypeRef};

use crate::config::{CompileLimits, display_size};

/// Core instances of one module, however small.
const INSTANCES_MAX: u64 = 1000;

/// What is counted in a file, all modules and components in it together.
#[derive(Debug, Default)]
struct ModuleShape {
    bytes: u64,
    functions: u64,
    largest_body: u64,
    most_locals: u64,
    types: u64,
    imports: u64,
    exports: u64,
    globals: u64,
    memories: u64,
    tables: u64,
    table_elements: u64,
    element_items: u64,
    segments: u64,
    modules: u64,
    components: u64,
    instances: u64,
    /// Things of the module under way that each of its instances has anew…
    own: u64,
    /// …and of the largest one.
    largest: u64,
}

/// One in so many bytes of `compile_memory` may be the file's.
const FILE_PART: u64 = 8;

/// A count, what it is called, and how many bytes of `compile_memory` one takes.
type ShapeLimit = (fn(&ModuleShape) -> u64, &'static str, u64);

const LIMITS: [ShapeLimit; 16] = [
    (|shape| shape.bytes, "bytes", FILE_PART),
    (|shape| shape.functions, "functions", 4 << 10),
    (|shape| shape.largest_body, "bytes in one function", 512),
    (
        |shape| shape.most_locals,
        "locals in one function",
        32 << 10,
    ),
    (|shape| shape.types, "types", 8 << 10),
    (|shape| shape.imports, "imports", 16 << 10),
    (|shape| shape.exports, "exports", 8 << 10),
    (|shape| shape.globals, "globals", 16 << 10),
    (|shape| shape.memories, "memories", 1 << 20),
    (|shape| shape.tables, "tables", 1 << 20),
    (|shape| shape.table_elements, "elements in tables", 256),
    (
        |shape| shape.element_items,
        "items in element segments",
        256,
    ),
    (|shape| shape.segments, "segments", 16 << 10),
    (|shape| shape.modules, "core modules", 1 << 20),
    (|shape| shape.components, "components", 1 << 20),
    (|shape| shape.instances, "instances", 1 << 20),
];
/// Instances may have so many imports, functions, globals and items of element segments together, one for
/// so many bytes.
const OWN_BYTES: u64 = 256;

/// Bytes that a file may have.
pub(super) const fn file_bytes_max(limits: &CompileLimits) -> u64 {
    limits.memory / FILE_PART
}

/// Looks at a file. Returns how many core instances it may have when it runs, so that all that they
/// have beside their memory stays bounded, too.
pub(super) fn check(file: &[u8], limits: &CompileLimits) -> anyhow::Result<usize> {
    let mut shape = ModuleShape {
        bytes: file.len() as u64,
        ..ModuleShape::default()
    };
    for payload in Parser::new(0).parse_all(file) {
        shape.add(payload?)?;
    }
    let memory = limits.memory;
    for (count, what, each) in LIMITS {
        let (count, limit) = (count(&shape), memory / each);
        ensure!(
            count <= limit,
            "it has {count} {what}; with compile_memory = \"{}\" a module may have {limit}",
            display_size(memory)
        );
    }
    let instances = memory / OWN_BYTES / shape.largest.max(1);
    Ok(usize::try_from(instances.clamp(1, INSTANCES_MAX))?)
}

impl ModuleShape {
    fn add(&mut self, payload: Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::Version { .. } => self.own = 0,
            Payload::ModuleSection { .. } => self.modules += 1,
            Payload::ComponentSection { .. } => self.components += 1,
            Payload::TypeSection(groups) => {
                for group in groups {
                    self.types += group?.types().len() as u64;
                }
            }
            Payload::CoreTypeSection(types) => self.types += u64::from(types.count()),
            Payload::ComponentTypeSection(types) => self.types += u64::from(types.count()),
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    match import?.ty {
                        TypeRef::Memory(_) => self.memories += 1,
                        TypeRef::Table(_) => self.tables += 1,
                        _ => {}
                    }
                    self.imports += 1;
                    self.own(1);
                }
            }
            Payload::ComponentImportSection(imports) => self.imports += u64::from(imports.count()),
            Payload::ComponentAliasSection(aliases) => self.imports += u64::from(aliases.count()),
            Payload::ExportSection(exports) => self.exports += u64::from(exports.count()),
            Payload::ComponentExportSection(exports) => self.exports += u64::from(exports.count()),
            Payload::GlobalSection(globals) => {
                self.globals += u64::from(globals.count());
                self.own(globals.count());
            }
            Payload::FunctionSection(functions) => {
                self.functions += u64::from(functions.count());
                self.own(functions.count());
            }
            Payload::ComponentCanonicalSection(functions) => {
                self.functions += u64::from(functions.count());
            }
            Payload::MemorySection(memories) => self.memories += u64::from(memories.count()),
            Payload::TableSection(tables) => {
                self.tables += u64::from(tables.count());
                for table in tables {
                    let elements = table?.ty.initial;
                    self.table_elements = self.table_elements.saturating_add(elements);
                }
            }
            Payload::ElementSection(segments) => self.elements(segments)?,
            Payload::DataSection(segments) => self.segments += u64::from(segments.count()),
            Payload::InstanceSection(instances) => self.instances += u64::from(instances.count()),
            Payload::ComponentInstanceSection(instances) => {
                self.instances += u64::from(instances.count());
            }
            Payload::CodeSectionEntry(body) => self.body(&body)?,
            _ => {}
        }
        Ok(())
    }

    fn own(&mut self, count: u32) {
        self.own += u64::from(count);
        self.largest = self.largest.max(self.own);
    }

    fn elements(&mut self, segments: ElementSectionReader<'_>) -> wasmparser::Result<()> {
        self.segments += u64::from(segments.count());
        for segment in segments {
            let items = match segment?.items {
                ElementItems::Functions(items) => items.count(),
                ElementItems::Expressions(_, items) => items.count(),
            };
            self.element_items += u64::from(items);
            self.own(items);
        }
        Ok(())
    }

    fn body(&mut self, body: &FunctionBody<'_>) -> wasmparser::Result<()> {
        let mut locals = 0;
        for group in body.get_locals_reader()? {
            locals += u64::from(group?.0);
        }
        self.most_locals = self.most_locals.max(locals);
        self.largest_body = self.largest_body.max(body.range().len() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
