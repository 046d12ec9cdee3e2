//! Random archives: valid ones with changed bytes, and entries of random kinds, names and sizes.
//!
//! `AF_FUZZ_CASES=1000000 cargo test -p af-agent --release fuzz` runs more of them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::*;

fn cases() -> u32 {
    std::env::var("AF_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

#[derive(Clone, Debug)]
struct RandomEntry {
    kind: u8,
    name: String,
    target: String,
    claimed: u64,
    body: Vec<u8>,
    numbers: [u64; 2],
}

fn entries() -> impl Strategy<Value = Vec<RandomEntry>> {
    // Few names, so that entries meet: a link and a file below it, a folder and a file of the same name.
    let name = || {
        prop_oneof![
            8 => vec(prop_oneof!["a", "b", "\\.\\.", "\\.", "skills", "\\.agent-factory\\.json", ""], 0..5)
                .prop_map(|parts| parts.join("/")),
            1 => "[a-z/\\.\u{0}-\u{ff}]{0,40}",
        ]
    };
    let kind = prop_oneof![8 => prop::sample::select(b"0125LKxg".to_vec()), 1 => any::<u8>()];
    let claimed =
        prop_oneof![6 => Just(None), 1 => any::<u64>().prop_map(Some), 1 => (0..5_000_u64).prop_map(Some)];
    let body = prop_oneof![3 => vec(any::<u8>(), 0..40), 1 => name().prop_map(String::into_bytes),
        1 => name().prop_map(|n| format!("{} path={n}\n", n.len() + 9).into_bytes())];
    let entry = (kind, name(), name(), claimed, body, any::<[u64; 2]>());
    vec(entry, 0..8).prop_map(|entries| {
        let entry = |(kind, name, target, claimed, body, numbers): (_, _, _, Option<u64>, Vec<u8>, _)| {
            let claimed = claimed.unwrap_or(body.len() as u64);
            RandomEntry { kind, name, target, claimed, body, numbers }
        };
        entries.into_iter().map(entry).collect()
    })
}

fn archive_of(entries: &[RandomEntry]) -> Vec<u8> {
    let cut = |text: &str| text.bytes().take(99).collect::<Vec<_>>();
    let mut tar = Vec::new();
    for RandomEntry { kind, name, target, claimed, body, numbers } in entries {
        let mut header = Header::new_gnu();
        let (name, target) = (cut(name), cut(target));
        header.as_mut_bytes()[..name.len()].copy_from_slice(&name);
        header.as_gnu_mut().unwrap().linkname[..target.len()].copy_from_slice(&target);
        header.set_entry_type(EntryType::new(*kind));
        header.set_size(*claimed);
        header.set_mtime(numbers[0]);
        header.set_mode((numbers[1] & 0xFFFF_FFFF) as u32);
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.extend_from_slice(body);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    io::Write::write_all(&mut gzip, &tar).unwrap();
    gzip.finish().unwrap()
}

/// A folder for the archive in a folder that must stay as it is.
struct Sandbox(tempfile::TempDir);

impl Sandbox {
    fn new() -> Self {
        let sandbox = Self(tempfile::tempdir().unwrap());
        fs::write(sandbox.0.path().join("victim"), "untouched").unwrap();
        sandbox
    }

    /// Unpacks, and checks the invariants of every archive.
    fn check(&self, archive: &[u8]) {
        let folder = self.0.path().join("data");
        fs::create_dir(&folder).unwrap();
        let unpacked = unpack(&mut &*archive, &folder);
        let outside: Vec<_> = fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(outside.len(), 2, "only the folder and the victim: {outside:?}");
        assert_eq!(fs::read_to_string(self.0.path().join("victim")).unwrap(), "untouched");
        let root = folder.canonicalize().unwrap();
        let mut left = vec![root.clone()];
        while let Some(path) = left.pop() {
            for entry in fs::read_dir(path).unwrap() {
                let entry = entry.unwrap();
                match entry.file_type().unwrap() {
                    kind if kind.is_dir() => left.push(entry.path()),
                    kind if kind.is_symlink() && unpacked.is_ok() => {
                        if let Ok(target) = entry.path().canonicalize() {
                            assert!(
                                target.starts_with(&root),
                                "{} -> {}",
                                entry.path().display(),
                                target.display()
                            );
                        }
                    }
                    _ => {}
                }
            }
        }
        // A folder that could be unpacked can be packed again, and always removed.
        if unpacked.is_ok() {
            pack(&folder, io::sink()).unwrap();
        }
        crate::tree::remove(self.0.path(), &folder).unwrap();
    }
}

fn run<S: Strategy>(strategy: S, check: impl Fn(S::Value)) {
    let config = Config {
        cases: cases(),
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&strategy, |value| {
            check(value);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_random_archive_changes_nothing_outside_and_does_not_panic() {
    let sandbox = Sandbox::new();
    run(entries(), |entries| sandbox.check(&archive_of(&entries)));
}

#[test]
fn a_valid_archive_with_changed_bytes_does_not_panic() {
    let sandbox = Sandbox::new();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    fs::write(folder.path().join("a/b").join("n".repeat(150)), vec![7; 3_000]).unwrap();
    symlink("b", folder.path().join("a/link")).unwrap();
    let valid = packed(folder.path());
    let change = (any::<prop::sample::Index>(), any::<u8>());
    run((vec(change, 1..4), any::<prop::sample::Index>(), any::<bool>()), |(changes, end, is_cut)| {
        let mut archive = valid.clone();
        for (place, byte) in changes {
            let place = place.index(archive.len());
            archive[place] = byte;
        }
        if is_cut {
            archive.truncate(end.index(valid.len()));
        }
        sandbox.check(&archive);
    });
}
