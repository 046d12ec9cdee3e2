//! Tests of a worker without the rights of root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::Path;
use std::thread;

/// The user of the worker if the test runs as root.
const USER: u32 = 65_534;

/// Runs `work` without the rights of root.
pub fn without_rights<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    // On Linux, each thread has a user of its own.
    let as_user = || {
        #[cfg(target_os = "linux")]
        if rustix::process::geteuid().is_root() {
            let user = rustix::process::Uid::from_raw(USER);
            rustix::thread::set_thread_res_uid(user, user, user).unwrap();
        }
        work()
    };
    thread::scope(|scope| scope.spawn(as_user).join()).unwrap()
}

/// Sets the mode of `path`, and gives it to the user of the worker.
pub fn deny(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    if rustix::process::geteuid().is_root() {
        lchown(path, Some(USER), Some(USER)).unwrap();
    }
}
