//! What wit-bindgen makes of `wit/transform.wit`: the types, the imports and the exports' glue.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

wit_bindgen::generate!({
    path: "../wit",
    world: "transform-packed",
    pub_export_macro: true,
    export_macro_name: "export_bindings",
    additional_derives: [PartialEq, Eq],
});
