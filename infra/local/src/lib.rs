//! The stack of `agent-factory dev`: the template, the emulators and the functions, in one process or each in processes of its
//! own.

mod background;
mod cargo_lambda;
mod console_tools;
mod control;
mod functions;
mod guard;
mod home;
mod lambda;
mod machine_processes;
mod options;
mod polling;
mod seed;
mod server;
mod stack;
mod table_streams;

pub use af_sam::cors::is_origin;
pub use functions::{permissions_of, streamed_routes};
pub use home::{DevFile, Home};
pub use machine_processes::MachineProcesses;
pub use options::{FunctionsIn, RealBot, StackOptions, WorkersOn};
pub use polling::UpdatePoller;
pub use seed::Demo;
pub use stack::Stack;
pub use table_streams::TableStreams;
