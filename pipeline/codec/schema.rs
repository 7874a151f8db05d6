//! Schemas: ours, compiled in, and a writer's, as a registry gives it.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, FileDescriptor, MessageDescriptor};
use protox::file::{File, FileResolver, GoogleFileResolver};

use super::known::known;

/// The descriptors of `schemas/`, with all that they import.
pub(super) static OURS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(include_bytes!(concat!(env!("OUT_DIR"), "/schemas.bin")).as_slice())
        .expect("the build script writes what its own compiler made")
});

/// One `.proto` file of a schema that is to be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaFile {
    /// As other files import it; also the subject under which a file that is imported is registered.
    pub name: &'static str,
    pub text: &'static str,
    /// Names of the files among these that it imports; what Google ships is known to every registry.
    pub imports: &'static [&'static str],
}

const CHAT: SchemaFile = SchemaFile {
    name: "groundswell/v1/chat.proto",
    text: include_str!("../../schemas/groundswell/v1/chat.proto"),
    imports: &[],
};
const CLICK: SchemaFile = SchemaFile {
    name: "groundswell/v1/click.proto",
    text: include_str!("../../schemas/groundswell/v1/click.proto"),
    imports: &[],
};
const SCORED: SchemaFile = SchemaFile {
    name: "groundswell/v1/scored.proto",
    text: include_str!("../../schemas/groundswell/v1/scored.proto"),
    imports: &["groundswell/v1/chat.proto"],
};
const SCORED_CLICK: SchemaFile = SchemaFile {
    name: "groundswell/v1/scored_click.proto",
    text: include_str!("../../schemas/groundswell/v1/scored_click.proto"),
    imports: &["groundswell/v1/click.proto", "groundswell/v1/scored.proto"],
};

const RECOMMENDATIONS: SchemaFile = SchemaFile {
    name: "groundswell/v1/recommendations.proto",
    text: include_str!("../../schemas/groundswell/v1/recommendations.proto"),
    imports: &["groundswell/v1/scored.proto"],
};
const PROFILE: SchemaFile = SchemaFile {
    name: "groundswell/v1/profile.proto",
    text: include_str!("../../schemas/groundswell/v1/profile.proto"),
    imports: &["groundswell/v1/scored.proto"],
};

const ALERT: SchemaFile = SchemaFile {
    name: "groundswell/v1/alert.proto",
    text: include_str!("../../schemas/groundswell/v1/alert.proto"),
    imports: &["groundswell/v1/scored.proto"],
};

/// The schema of scored texts: each file after those that it imports, the one that holds `Scored` last.
pub const SCORED_FILES: [SchemaFile; 2] = [CHAT, SCORED];
/// The same of scored clicks.
pub const SCORED_CLICK_FILES: [SchemaFile; 4] = [CHAT, SCORED, CLICK, SCORED_CLICK];
/// The same of profiles.
pub const PROFILE_FILES: [SchemaFile; 3] = [CHAT, SCORED, PROFILE];
/// The same of recommendations.
pub const RECOMMENDATIONS_FILES: [SchemaFile; 3] = [CHAT, SCORED, RECOMMENDATIONS];
/// The same of alerts and trends.
pub const ALERT_FILES: [SchemaFile; 3] = [CHAT, SCORED, ALERT];

/// A writer's schema, compiled.
#[derive(Clone, Debug)]
pub struct WriterSchema {
    root: FileDescriptor,
}

impl WriterSchema {
    /// The name of the schema's own file while it is compiled; a registry gives it none. No file that it imports is
    /// called so.
    const ROOT: &str = "<schema>";

    /// Compiles a schema's text with the files that it imports, by the names under which they are imported.
    ///
    /// The error says where the text is wrong, or which import is missing.
    pub fn compile(text: &str, imports: HashMap<String, String>) -> Result<Self, String> {
        let mut files = imports;
        files.insert(Self::ROOT.to_string(), text.to_string());
        let mut compiler = protox::Compiler::with_file_resolver(Files { files, google: GoogleFileResolver::new() });
        compiler.include_imports(true).open_file(Self::ROOT).map_err(|error| error.to_string())?;
        let root = compiler.descriptor_pool().get_file_by_name(Self::ROOT);
        root.map(|root| Self { root }).ok_or_else(|| "the compiled schema does not hold its own file".to_string())
    }

    /// The message at this path of positions: among the file's messages, then among those nested in it.
    ///
    /// The entry types that a compiler makes for maps are not counted: they do not stand in the text, and the serialiser
    /// that set this format (Confluent's, in Java) counts what stands in the text.
    pub(super) fn message(&self, path: &[usize]) -> Option<MessageDescriptor> {
        let (first, rest) = path.split_first()?;
        let top = self.root.messages().nth(*first)?;
        rest.iter().try_fold(top, |message, step| message.child_messages().filter(|m| !m.is_map_entry()).nth(*step))
    }
}

/// Gives the compiler the files of one schema, and no file of this machine.
struct Files {
    files: HashMap<String, String>,
    google: GoogleFileResolver,
}

impl FileResolver for Files {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.files.get(name) {
            Some(text) if !name.starts_with("google/protobuf/") => File::from_source(name, text),
            _ => match known(name) {
                Some(text) => File::from_source(name, &text),
                None => self.google.open_file(name),
            },
        }
    }

    fn resolve_path(&self, path: &std::path::Path) -> Option<String> {
        path.to_str().map(str::to_string)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(files: &[(&str, &str)]) -> HashMap<String, String> {
        files.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()
    }

    #[test]
    fn a_message_is_found_by_its_path() {
        let text = r#"syntax = "proto3"; package shop;
            message A { map<string, int32> counts = 1; message B { message C {} } message D {} }
            message E {}"#;
        let schema = WriterSchema::compile(text, HashMap::new()).unwrap();
        let check = |path: &[usize], expected: Option<&str>| {
            assert_eq!(schema.message(path).as_ref().map(MessageDescriptor::full_name), expected, "{path:?}");
        };
        check(&[0], Some("shop.A"));
        check(&[1], Some("shop.E"));
        check(&[0, 0], Some("shop.A.B"));
        check(&[0, 0, 0], Some("shop.A.B.C"));
        check(&[0, 1], Some("shop.A.D"));
        check(&[2], None);
        check(&[0, 2], None);
        check(&[usize::MAX], None);
        check(&[], None);
    }

    #[test]
    fn imports_are_resolved_and_bad_schemas_refused() {
        let check = |text: &str, files: &[(&str, &str)], expected: Result<(), &str>| match (
            WriterSchema::compile(text, imports(files)),
            expected,
        ) {
            (Ok(_), Ok(())) => {}
            (Err(message), Err(part)) => assert!(message.contains(part), "{message:?} lacks {part:?}"),
            (result, expected) => panic!("{text}: {result:?}, expected {expected:?}"),
        };
        let body = r#"syntax = "proto3"; message Body { string text = 1; }"#;
        let uses_body = r#"syntax = "proto3"; import "a/body.proto"; message M { Body body = 1; }"#;
        check(uses_body, &[("a/body.proto", body)], Ok(()));
        check(uses_body, &[], Err("a/body.proto"));
        let google = r#"syntax = "proto3"; import "google/protobuf/timestamp.proto"; message M { google.protobuf.Timestamp at = 1; }"#;
        check(google, &[], Ok(()));
        check(google, &[("google/protobuf/timestamp.proto", "not protobuf")], Ok(()));
        check(r#"{"type": "record"}"#, &[], Err("expected"));
        check(r#"syntax = "proto3"; import "etc/hosts"; message M {}"#, &[], Err("etc/hosts"));
        check(r#"syntax = "proto3"; import "<schema>"; message M {}"#, &[], Err("cycle"));
        check(&format!("{}{}", "message M {".repeat(10_000), "}".repeat(10_000)), &[], Err("nest"));
    }

    #[test]
    fn the_files_to_register_are_complete_and_in_order() {
        let check = |files: &[SchemaFile], message: &str| {
            let mut before = HashMap::new();
            for file in files {
                for line in file.text.lines().filter_map(|line| line.strip_prefix("import \"")) {
                    let import = line.trim_end_matches("\";");
                    assert!(import.starts_with("google/protobuf/") || file.imports.contains(&import), "{import}");
                }
                assert!(
                    file.imports.iter().all(|import| before.contains_key(*import)),
                    "{} comes too early",
                    file.name
                );
                WriterSchema::compile(file.text, before.clone()).unwrap();
                before.insert(file.name.to_string(), file.text.to_string());
            }
            let message = OURS.get_message_by_name(message).unwrap();
            assert_eq!(Some(message.parent_file().name()), files.last().map(|file| file.name));
        };
        check(&SCORED_FILES, "groundswell.v1.Scored");
        check(&SCORED_CLICK_FILES, "groundswell.v1.ScoredClick");
        check(&PROFILE_FILES, "groundswell.v1.Profile");
    }
}
