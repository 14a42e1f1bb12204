//! Modules that take far more than they seem to.

use wasm_encoder::{
    BlockType, CodeSection, Component, CustomSection, ElementSection, Elements, EntityType,
    Function, FunctionSection, ImportSection, InstanceSection, MemorySection, MemoryType, Module,
    ModuleArg, ModuleSection, RawSection, RefType, Section, TableSection, TableType, TypeSection,
    ValType,
};

use crate::transforms::HOSTILE;

const MEMORY: MemoryType = MemoryType {
    minimum: 0,
    maximum: None,
    memory64: false,
    shared: false,
    page_size_log2: None,
};

/// A module that takes far more than it seems to.
pub(super) struct Bomb {
    /// The stream that is given it.
    pub(super) stream: &'static str,
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    /// What is said of it.
    pub(super) cause: &'static str,
}

/// The first two compile, but for what that takes.
#[expect(clippy::too_many_lines, reason = "one list, a few lines an entry")]
pub(super) fn bombs() -> Vec<Bomb> {
    let bomb = |name, bytes, cause| Bomb {
        stream: "slow",
        name,
        bytes,
        cause,
    };
    let mut types = TypeSection::new();
    for _ in 0..1_000_000 {
        types.ty().function([], []);
    }
    let mut imports = ImportSection::new();
    for at in 0..100_000_u32 {
        imports.import("a", &at.to_string(), EntityType::Function(0));
    }
    let mut elements = ElementSection::new();
    let items = vec![0; 4_000_000];
    elements.passive(Elements::Functions((&items[..]).into()));
    let mut tables = TableSection::new();
    tables.table(TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: u64::from(u32::MAX),
        maximum: None,
        shared: false,
    });
    let mut memories = MemorySection::new();
    for _ in 0..100 {
        memories.memory(MEMORY);
    }
    let mut memory = MemorySection::new();
    memory.memory(MEMORY);
    let mut deep = Component::HEADER.to_vec();
    for _ in 0..5000 {
        let mut outer = Component::new();
        outer.section(&RawSection { id: 4, data: &deep });
        deep = outer.finish();
    }
    let mut instances = InstanceSection::new();
    for _ in 0..100_000 {
        instances.instantiate(0, Vec::<(&str, ModuleArg)>::new());
    }
    let (mut one_memory, mut hundreds) = (Component::new(), InstanceSection::new());
    for _ in 0..101 {
        hundreds.instantiate(0, Vec::<(&str, ModuleArg)>::new());
    }
    one_memory.section(&RawSection {
        id: 1,
        data: &module(&[&memory]),
    });
    one_memory.section(&hundreds);
    let mut many = Component::new();
    many.section(&ModuleSection(&Module::new()));
    many.section(&instances);
    let (head, _) = HOSTILE.trim_end().rsplit_once(')').unwrap();
    let with = |more: &str| wat::parse_str(format!("{head}{more})")).unwrap();
    let configure = |first: &str| {
        let head = "(func (export \"configure\") (param $at i32) (param $len i32) (result i32)\n    (local $ret i32)";
        let guest = HOSTILE.replace(head, &format!("{head} {first}"));
        assert_ne!(guest, HOSTILE);
        wat::parse_str(guest).unwrap()
    };
    let large = HOSTILE.replace("\"memory\") 4)", "\"memory\") 65536)");
    let endless = "(loop $again (br $again))";
    let greedy = "(loop $again (drop (memory.grow (i32.const 1))) (br $again))";
    let start = format!("(func $endless {endless}) (start $endless)");
    let custom = CustomSection {
        name: "x".into(),
        data: vec![0; 200 << 20].into(),
    };
    vec![
        Bomb {
            stream: "large",
            ..bomb(
                "live values",
                functions(1, &live_values(3000)),
                "compile_memory",
            )
        },
        bomb(
            "slow functions",
            functions(30_000, &live_values(20)),
            "compile_timeout",
        ),
        bomb(
            "empty functions",
            functions(900_000, &live_values(0)),
            "900000 functions",
        ),
        bomb("types", module(&[&types]), "1000000 types"),
        bomb("imports", module(&[&imports]), "100000 imports"),
        bomb("element segments", module(&[&elements]), "4000000 items"),
        bomb("tables", module(&[&tables]), "4294967295 elements"),
        bomb(
            "memories in one module",
            in_component(&module(&[&memories])),
            "one memory",
        ),
        bomb(
            "memories of many instances",
            one_memory.finish(),
            "memory count too high",
        ),
        bomb("nested components", deep, "components"),
        bomb("instances", many.finish(), "100000 instances"),
        bomb(
            "a custom section",
            module(&[&custom]),
            "the file has 209715",
        ),
        bomb(
            "a large memory",
            wat::parse_str(large).unwrap(),
            "bytes of memory",
        ),
        bomb(
            "a large table",
            with("(table 10000000 funcref)"),
            "elements in tables",
        ),
        bomb(
            "an endless configure",
            configure(endless),
            "longer than timeout",
        ),
        bomb("a greedy configure", configure(greedy), "bytes of memory"),
        bomb("an endless start", with(&start), "longer than timeout"),
        bomb(
            "garbage",
            b"\0asm\x01\0\0\0\xff\xff\xff\xff".to_vec(),
            "slow.wasm",
        ),
    ]
}

fn module(sections: &[&dyn Section]) -> Vec<u8> {
    let mut bytes = Module::HEADER.to_vec();
    for section in sections {
        section.append_to(&mut bytes);
    }
    bytes
}

/// A module of that many such functions.
fn functions(count: u32, function: &Function) -> Vec<u8> {
    let (mut types, mut declared, mut code) = (
        TypeSection::new(),
        FunctionSection::new(),
        CodeSection::new(),
    );
    types.ty().function([], [ValType::I64]);
    for _ in 0..count {
        declared.function(0);
        code.function(function);
    }
    in_component(&module(&[&types, &declared, &code]))
}

/// A component that holds a core module: whether it fits the contract is seen when it is compiled.
fn in_component(core: &[u8]) -> Vec<u8> {
    let mut component = Component::new();
    component.section(&RawSection { id: 1, data: core });
    component.finish()
}

/// A function that keeps so many values alive across as many calls and branches.
fn live_values(count: u32) -> Function {
    let mut function = Function::new([(count, ValType::I64)]);
    let mut code = function.instructions();
    for local in 0..count {
        code.call(0).local_set(local);
    }
    for local in 0..count {
        code.local_get(local).i32_wrap_i64().if_(BlockType::Empty);
        code.call(0).local_set(local).end();
    }
    code.i64_const(0);
    for local in 0..count {
        code.local_get(local).i64_add();
    }
    code.end();
    function
}

/// A module that takes long to compile, and fits no contract.
pub(super) fn slow() -> Vec<u8> {
    functions(10_000, &live_values(100))
}
