//! The parts that all pages share: the frame, and a few small components.

mod frame;
mod parts;
mod time;

pub(crate) use frame::{Frame, Nav, bare_page, live, page};
pub(crate) use parts::{
    action, confirmed, csrf_field, empty, fact, facts, note, pager, path, pill, short, tile,
};
pub(crate) use time::{absolute, length, when};
