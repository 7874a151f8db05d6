//! Generates the Rust types of `schemas/` without `protoc`, and what they need to be JSON too.
//!
//! Which serde attribute a field gets follows from its Protobuf type, so that a field added to a schema is JSON without
//! another line here. The helpers that the attributes name are in `pipeline/event/json.rs`.

use std::error::Error;
use std::path::Path;

const FILES: [&str; 9] =
    ["review", "chat", "click", "scored", "scored_click", "profile", "recommendations", "alert", "partial"];
const PACKAGE: &str = "groundswell.v1";
const HELPERS: &str = "crate::event::json";

/// Messages that only wrap a list, because a Protobuf map cannot hold one: JSON shows the list.
const WRAPPERS: [&str; 1] = ["Labels"];
/// Numbers that come from 32-bit floats: written with the digits that mean something.
const ROUNDED: [(&str, &str); 19] = [
    ("Sentiment", "score"),
    ("Sentiment", "probabilities"),
    ("Label", "probability"),
    ("ScoredClick", "purchase_probability"),
    ("ScoredClick", "features"),
    ("Recommendation", "score"),
    ("Evidence", "observed"),
    ("Evidence", "expected"),
    ("Evidence", "expected_low"),
    ("Evidence", "expected_high"),
    ("Evidence", "texts"),
    ("Evidence", "discounted_share"),
    ("Point", "expected"),
    ("Driver", "count"),
    ("Driver", "lift"),
    ("Driver", "excess_share"),
    ("Trend", "effective_count"),
    ("Trend", "negative_share"),
    ("Trend", "mean_score"),
];

/// Texts that are empty where there is nothing to say: left out then.
const LEFT_OUT_EMPTY: [(&str, &str); 2] = [("ScoredClick", "segment"), ("Profile", "segment")];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=schemas");
    let mut compiler = protox::Compiler::new(["schemas"])?;
    compiler.include_imports(true).open_files(FILES.map(|name| format!("groundswell/v1/{name}.proto")))?;

    let out = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&out).join("schemas.bin"), compiler.encode_file_descriptor_set())?;

    let mut config = prost_build::Config::new();
    // Ordered maps: the same event is the same bytes, whichever instance wrote it.
    config.btree_map(["."]).enable_type_names();
    let descriptors = compiler.file_descriptor_set();
    for file in descriptors.file.iter().filter(|file| file.package() == PACKAGE) {
        for message in &file.message_type {
            let name = message.name();
            let path = format!("{PACKAGE}.{name}");
            config.message_attribute(&path, "#[derive(serde::Serialize, serde::Deserialize)]");
            let shape = if WRAPPERS.contains(&name) { "transparent" } else { "default" };
            config.message_attribute(&path, format!("#[serde({shape})]"));
            for field in &message.field {
                let repeated = field.label().as_str_name() == "LABEL_REPEATED";
                let of = Field { message: name, name: field.name(), repeated, optional: field.proto3_optional() };
                if let Some(attribute) = attribute(&of, field.r#type().as_str_name(), field.type_name()) {
                    config.field_attribute(format!("{path}.{}", field.name()), format!("#[serde({attribute})]"));
                }
            }
        }
    }
    config.compile_fds(descriptors)?;
    Ok(())
}

struct Field<'a> {
    message: &'a str,
    name: &'a str,
    repeated: bool,
    optional: bool,
}

/// The serde attribute of a field: how it is written where plain serde would not do, and when it is left out.
fn attribute(field: &Field, kind: &str, type_name: &str) -> Option<String> {
    let rounded = ROUNDED.contains(&(field.message, field.name));
    let skip_none = "skip_serializing_if = \"Option::is_none\"";
    Some(match (kind, type_name) {
        _ if WRAPPERS.contains(&field.message) => return None,
        _ if field.repeated && rounded => {
            format!("with = \"{HELPERS}::rounded_map\", skip_serializing_if = \"std::collections::BTreeMap::is_empty\"")
        }
        (_, message) if field.repeated && message.ends_with("Entry") => {
            "skip_serializing_if = \"std::collections::BTreeMap::is_empty\"".to_string()
        }
        _ if field.repeated => "skip_serializing_if = \"Vec::is_empty\"".to_string(),
        _ if rounded && field.optional => format!("with = \"{HELPERS}::rounded_option\", {skip_none}"),
        _ if LEFT_OUT_EMPTY.contains(&(field.message, field.name)) => {
            "skip_serializing_if = \"String::is_empty\"".to_string()
        }
        _ if rounded => format!("with = \"{HELPERS}::rounded\""),
        ("TYPE_MESSAGE", ".google.protobuf.Timestamp") => format!("with = \"{HELPERS}::time\", {skip_none}"),
        ("TYPE_MESSAGE", ".google.protobuf.Struct") => format!("with = \"{HELPERS}::attributes\", {skip_none}"),
        ("TYPE_ENUM", name) => {
            let helper = if field.optional { "OptionalEnum" } else { "Enum" };
            let helper = format!("{HELPERS}::{helper}::<crate::event::v1::{}>", name.rsplit('.').next()?);
            format!("with = \"{helper}\", skip_serializing_if = \"{helper}::is_absent\"")
        }
        ("TYPE_BOOL", _) if !field.optional => "skip_serializing_if = \"std::ops::Not::not\"".to_string(),
        ("TYPE_MESSAGE", _) => skip_none.to_string(),
        _ if field.optional => skip_none.to_string(),
        _ => return None,
    })
}
