//! The architecture rules. Each rule is a function from a workspace to the places that break it; each has a
//! test with a made-up workspace that breaks it, and a test that runs it on this workspace. The documents and the
//! template are part of the workspace.

mod banned_words;
mod declared_once;
mod dependencies;
mod docs;
mod habits;
mod import_cycles;
mod module_graph;
mod openapi;
mod purity;
mod sizes;
mod template;
mod tokens;
