//! One of too much of everything, and what a module may have.

use std::time::Duration;

use wasm_encoder::{
    CodeSection, Component, ElementSection, Elements, Encode as _, EntityType, ExportKind,
    ExportSection, Function, FunctionSection, GlobalSection, GlobalType, ImportSection,
    InstanceSection, MemorySection, MemoryType, Module, RefType, TableSection, TableType,
    TypeSection, ValType,
};

use super::*;

/// The least that a config may say: bombs are small then.
const LIMITS: CompileLimits = CompileLimits {
    memory: 128 << 20,
    timeout: Duration::from_secs(5),
};

const MEMORY: MemoryType = MemoryType {
    minimum: 0,
    maximum: None,
    memory64: false,
    shared: false,
    page_size_log2: None,
};
const TABLE: TableType = TableType {
    element_type: RefType::FUNCREF,
    table64: false,
    minimum: 0,
    maximum: None,
    shared: false,
};

/// A module of one section.
fn module(section: &impl wasm_encoder::Section) -> Vec<u8> {
    let mut module = Module::new();
    module.section(section);
    module.finish()
}

/// A module of that many such functions.
fn functions(count: u32, function: &Function) -> Vec<u8> {
    let (mut declared, mut code) = (FunctionSection::new(), CodeSection::new());
    for _ in 0..count {
        declared.function(0);
        code.function(function);
    }
    let mut module = Module::new();
    module.section(&declared);
    module.section(&code);
    module.finish()
}

fn refused(file: &[u8]) -> String {
    check(file, &LIMITS).unwrap_err().to_string()
}

fn nothing() -> wasm_encoder::ConstExpr {
    wasm_encoder::ConstExpr::i32_const(0)
}

#[test]
fn too_much_of_anything_is_named_with_its_limit() {
    let mut types = TypeSection::new();
    let mut imports = ImportSection::new();
    let mut exports = ExportSection::new();
    let mut globals = GlobalSection::new();
    let mut items = ElementSection::new();
    let mut segments = ElementSection::new();
    let ty = GlobalType {
        val_type: ValType::I32,
        mutable: false,
        shared: false,
    };
    for at in 0..40_000_u32 {
        types.ty().function([], []);
        imports.import("a", &at.to_string(), EntityType::Function(0));
        exports.export(&at.to_string(), ExportKind::Func, at);
        globals.global(ty, &nothing());
        segments.passive(Elements::Functions((&[][..]).into()));
    }
    let many = vec![0; 600_000];
    items.passive(Elements::Functions((&many[..]).into()));
    let mut tables = TableSection::new();
    tables.table(TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: u64::from(u32::MAX),
        maximum: None,
        shared: false,
    });
    let (mut memories, mut many_tables) = (MemorySection::new(), TableSection::new());
    let (mut imported_memories, mut imported_tables) = (ImportSection::new(), ImportSection::new());
    for _ in 0..129 {
        memories.memory(MEMORY);
        many_tables.table(TABLE);
        imported_memories.import("a", "b", MEMORY);
        imported_tables.import("a", "b", TABLE);
    }
    let mut long = Function::new([]);
    long.raw(vec![1; 300_000]);
    let wide = Function::new([(3000, ValType::I32), (3000, ValType::I64)]);
    for (file, what) in [
        (module(&types), "it has 40000 types;"),
        (
            functions(40_000, &Function::new([])),
            "it has 40000 functions;",
        ),
        (module(&imports), "it has 40000 imports;"),
        (module(&exports), "it has 40000 exports;"),
        (module(&globals), "it has 40000 globals;"),
        (module(&segments), "it has 40000 segments;"),
        (module(&items), "it has 600000 items in element segments;"),
        (module(&tables), "it has 4294967295 elements in tables;"),
        (module(&memories), "it has 129 memories;"),
        (module(&imported_memories), "it has 129 memories;"),
        (wrap_module(&module(&memories)), "it has 129 memories;"),
        (module(&many_tables), "it has 129 tables;"),
        (module(&imported_tables), "it has 129 tables;"),
        (functions(1, &long), "it has 300001 bytes in one function;"),
        (functions(1, &wide), "it has 6000 locals in one function;"),
    ] {
        let said = refused(&file);
        let is_told = said.starts_with(what) && said.contains("compile_memory = \"128MiB\"");
        assert!(is_told, "{what} {said}");
    }
}

#[test]
fn what_lies_in_components_counts_however_deep() {
    let core = Module::new().finish();
    let mut modules = Component::new();
    let mut instances = Component::new();
    for _ in 0..201 {
        modules.section(&wasm_encoder::RawSection { id: 1, data: &core });
    }
    let mut many = InstanceSection::new();
    for _ in 0..200 {
        many.instantiate(0, Vec::<(&str, wasm_encoder::ModuleArg)>::new());
    }
    instances.section(&many);
    let mut nested = instances.finish();
    assert!(refused(&nested).starts_with("it has 200 instances;"));
    nested = wrap(&nested);
    assert!(refused(&nested).starts_with("it has 200 instances;"));
    assert!(refused(&modules.finish()).starts_with("it has 201 core modules;"));
    let mut deep = Component::new().finish();
    for _ in 0..200 {
        deep = wrap(&deep);
    }
    assert!(refused(&deep).starts_with("it has 200 components;"));
}

/// A component around a core module, two levels deep.
fn wrap_module(core: &[u8]) -> Vec<u8> {
    let mut component = Component::new();
    component.section(&wasm_encoder::RawSection { id: 1, data: core });
    wrap(&component.finish())
}

/// A component around a component.
fn wrap(inner: &[u8]) -> Vec<u8> {
    let mut outer = Component::HEADER.to_vec();
    outer.push(4);
    inner.encode(&mut outer);
    outer
}

#[test]
fn the_larger_a_module_the_fewer_of_its_instances() {
    let of = |count| check(&functions(count, &Function::new([])), &LIMITS).unwrap();
    assert_eq!([of(0), of(1), of(524), of(10_000)], [1000, 1000, 1000, 52]);
    // What an instance has anew, each takes memory of the host's.
    let mut imports = ImportSection::new();
    let mut elements = ElementSection::new();
    for _ in 0..5000 {
        imports.import("a", "b", EntityType::Function(0));
        elements.passive(Elements::Functions((&[0, 0][..]).into()));
    }
    assert_eq!(check(&module(&imports), &LIMITS).unwrap(), 104);
    assert_eq!(check(&module(&elements), &LIMITS).unwrap(), 52);
}
