//! The architecture rules. Each rule is a function from a workspace to the places that break it; beside it stand a
//! test with a made-up workspace that breaks it, and one that runs it on this workspace.

mod banned_words;
mod declared_once;
mod dependencies;
mod habits;
mod import_cycles;
mod module_graph;
mod purity;
mod sizes;
mod tokens;
