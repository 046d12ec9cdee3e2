//! Archives that an attacker has made.

use std::io::Read;

use super::*;
use crate::snapshot::archive::pack::open_inside;
use crate::snapshot::archive::unpack::unpack_within;

/// Counts the bytes that are read.
struct Counted<'a>(&'a [u8], usize);

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1 += read;
        Ok(read)
    }
}

fn entry(tar: &mut tar::Builder<GzEncoder<Vec<u8>>>, name: &str, kind: EntryType, target: &str) {
    tar.append(&header(name, kind, target, 0), io::empty()).unwrap();
}

#[test]
fn a_link_that_resolves_outside_through_another_link_is_not_restored() {
    let archive = gzipped(|tar| {
        entry(tar, "a/b/c", EntryType::Directory, "");
        entry(tar, "a/b/c/up", EntryType::Symlink, "../../..");
        entry(tar, "outside", EntryType::Symlink, "a/b/c/up/..");
        entry(tar, "skills", EntryType::Symlink, "outside/victim");
        entry(tar, "loop", EntryType::Symlink, "loop");
    });
    let back = unpacked(&archive).unwrap();
    let is_link = |name: &str| fs::read_link(back.path().join(name)).is_ok();
    assert!(is_link("a/b/c/up"), "a link to the folder itself stays inside");
    assert!(!is_link("outside") && !is_link("skills") && !is_link("loop"));
}

#[test]
fn a_link_that_resolves_outside_is_left_out_of_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    symlink("../..", folder.path().join("a/b/up")).unwrap();
    symlink("a/b/up/..", folder.path().join("outside")).unwrap();
    let back = unpacked(&packed(folder.path())).unwrap();
    assert!(fs::read_link(back.path().join("a/b/up")).is_ok());
    assert!(fs::symlink_metadata(back.path().join("outside")).is_err());
}

#[test]
fn nothing_is_written_through_a_link_of_the_archive() {
    let archive = gzipped(|tar| {
        entry(tar, "link", EntryType::Symlink, "target");
        tar.append(&header("link/file", EntryType::Regular, "", 4), &b"evil"[..]).unwrap();
    });
    let refused = unpacked(&archive).err().unwrap();
    assert!(refused.is_of_archive() && matches!(refused, ArchiveError::Io(..)), "{refused}");
}

#[test]
fn no_folder_and_no_link_is_created_through_a_link_of_the_archive() {
    let cases: [&[(&str, &str)]; 4] = [
        &[("p/q/r", "../.."), ("x", "p/q/r/.."), ("x/newdir/evil", "../data/payload")],
        &[("p/q/r", "../.."), ("p/q/r/evil", "../../..")],
        &[("x", "p/q"), ("x/l", "l")],
        &[("x/l", "l"), ("x", "p/q")],
    ];
    for links in cases {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        fs::create_dir(&folder).unwrap();
        let archive = gzipped(|tar| {
            for (name, target) in links {
                entry(tar, name, EntryType::Symlink, target);
            }
        });
        let unpacked = unpack(&mut &*archive, &folder);
        let outside: Vec<_> = fs::read_dir(parent.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(outside, ["data"], "{links:?}");
        assert!(fs::symlink_metadata(folder.join("evil")).is_err(), "{links:?}");
        let refused = unpacked.expect_err("a link cannot have entries");
        assert!(refused.is_of_archive(), "{links:?}: {refused}");
    }
}

#[test]
fn a_name_of_gigabytes_is_refused_before_it_is_read() {
    let zeros = vec![b'n'; 4 << 20];
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
        // The header claims 4 GB, and the first 4 MB of them are there.
        let mut archive = GzEncoder::new(Vec::new(), Compression::none());
        io::Write::write_all(&mut archive, header("long", kind, "", 4 << 30).as_bytes()).unwrap();
        io::Write::write_all(&mut archive, &zeros).unwrap();
        let archive = archive.finish().unwrap();
        let (folder, mut from) = (tempfile::tempdir().unwrap(), Counted(&archive, 0));
        let refused = unpack(&mut from, folder.path()).err().unwrap();
        assert!(matches!(refused, ArchiveError::Name | ArchiveError::TooLarge { .. }), "{kind:?}: {refused}");
        assert!(from.1 < 1 << 20, "{kind:?}: {} bytes were read", from.1);
    }
}

#[test]
fn the_names_of_many_links_need_bounded_memory() {
    let name = format!("d/{}", "n".repeat(2_000));
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::none()));
    for _ in 0..20_000 {
        tar.append(&header("long", EntryType::GNULongName, "", name.len() as u64), name.as_bytes()).unwrap();
        entry(&mut tar, "short", EntryType::Symlink, "target");
    }
    let archive = tar.into_inner().unwrap().finish().unwrap();
    // 20 000 names have 40 MB.
    let refused = unpacked(&archive).err().unwrap();
    assert!(matches!(refused, ArchiveError::TooLarge { .. }), "{refused}");
}

#[test]
fn an_absurd_mtime_is_limited() {
    let archive = gzipped(|tar| {
        let mut header = header("file", EntryType::Regular, "", 4);
        header.set_mtime(u64::MAX);
        header.set_cksum();
        tar.append(&header, &b"text"[..]).unwrap();
    });
    let back = unpacked(&archive).unwrap();
    assert_eq!(fs::read(back.path().join("file")).unwrap(), b"text");
}

#[test]
fn folders_that_are_600_deep_are_packed_and_restored() {
    let folder = tempfile::tempdir().unwrap();
    let deep = "deep/".repeat(600);
    fs::create_dir_all(folder.path().join(&deep)).unwrap();
    fs::write(folder.path().join(&deep).join("file"), "text").unwrap();
    // A path that is too long for an archive is left out.
    fs::create_dir_all(folder.path().join(format!("{}/", "n".repeat(250)).repeat(13))).unwrap();
    let back = unpacked(&packed(folder.path())).unwrap();
    assert_eq!(fs::read(back.path().join(&deep).join("file")).unwrap(), b"text");
}

#[test]
fn more_unpacked_bytes_than_the_volume_has_are_refused_before_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let volume = rustix::fs::statvfs(folder.path()).unwrap();
    let size = volume.f_bavail * volume.f_frsize + (1 << 30);
    let mut archive = GzEncoder::new(Vec::new(), Compression::fast());
    io::Write::write_all(&mut archive, header("file", EntryType::Regular, "", size).as_bytes()).unwrap();
    let archive = archive.finish().unwrap();
    let refused = unpack(&mut &*archive, folder.path()).err().unwrap();
    assert!(matches!(refused, ArchiveError::TooLarge { .. }) && refused.is_of_archive(), "{refused}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn each_new_file_folder_and_link_counts_as_an_entry_and_a_block_before_it_is_created() {
    let deep = format!("{}f", "a/".repeat(11));
    let files = gzipped(|tar| (0..12).for_each(|n| entry(tar, &n.to_string(), EntryType::Regular, "")));
    let kinds = [(EntryType::Regular, ""), (EntryType::Directory, ""), (EntryType::Symlink, "target")];
    let deep = kinds.map(|(kind, target)| gzipped(|tar| entry(tar, &deep, kind, target)));
    for (archive, max_created) in deep.iter().map(|archive| (archive, 0)).chain([(&files, 11)]) {
        let enough = Limits { max_entries: 12, max_bytes: 12 * BLOCK_BYTES };
        for limits in [Limits { max_entries: 11, ..enough }, Limits { max_bytes: 11 * BLOCK_BYTES, ..enough }]
        {
            let folder = tempfile::tempdir().unwrap();
            let refused = unpack_within(limits, &mut &archive[..], folder.path()).err().unwrap();
            assert!(matches!(refused, ArchiveError::TooLarge { .. }) && refused.is_of_archive(), "{refused}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), max_created);
        }
        let folder = tempfile::tempdir().unwrap();
        unpack_within(enough, &mut &archive[..], folder.path()).unwrap();
    }
}

#[test]
fn a_packed_folder_with_long_names_needs_no_more_entries_than_the_folder_has() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..5 {
        fs::write(folder.path().join(format!("{n}{}", "n".repeat(150))), "text").unwrap();
    }
    let (archive, back) = (packed(folder.path()), tempfile::tempdir().unwrap());
    let limits = Limits { max_entries: 5, max_bytes: 5 * BLOCK_BYTES };
    unpack_within(limits, &mut &archive[..], back.path()).unwrap();
}

#[test]
fn the_limits_of_a_volume_are_its_free_inodes_and_bytes() {
    let mut volume = rustix::fs::statvfs(tempfile::tempdir().unwrap().path()).unwrap();
    (volume.f_bavail, volume.f_frsize) = (3, 4_096);
    (volume.f_files, volume.f_favail) = (100, 7);
    let limits = Limits::of_volume(&volume);
    assert_eq!((limits.max_entries, limits.max_bytes), (7, 12_288));
    // A file system without a fixed number of inodes.
    (volume.f_files, volume.f_favail) = (0, 0);
    assert_eq!(Limits::of_volume(&volume).max_entries, MAX_ENTRIES);
}

#[test]
fn the_content_of_a_file_is_never_read_through_a_link() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    fs::write(folder.path().join("a/b/file"), "text").unwrap();
    symlink("b", folder.path().join("a/folder")).unwrap();
    symlink("file", folder.path().join("a/b/link")).unwrap();
    let read = |name: &str| open_inside(folder.path(), Path::new(name)).and_then(io::read_to_string);
    assert_eq!(read("a/b/file").unwrap(), "text");
    assert!(read("a/folder/file").is_err() && read("a/b/link").is_err());
}

#[test]
fn a_sparse_file_that_is_longer_than_all_disks_is_not_packed() {
    let folder = tempfile::tempdir().unwrap();
    fs::File::create(folder.path().join("sparse")).unwrap().set_len(MAX_UNPACKED_BYTES + 1).unwrap();
    let refused = pack(folder.path(), io::sink()).err().unwrap();
    assert!(matches!(refused, ArchiveError::TooLarge { .. }), "{refused}");
}

#[test]
fn a_folder_that_denies_access_to_its_owner_is_restored_with_access() {
    let archive = gzipped(|tar| {
        let mut header = header("closed", EntryType::Directory, "", 0);
        header.set_mode(0);
        header.set_cksum();
        tar.append(&header, io::empty()).unwrap();
    });
    let back = unpacked(&archive).unwrap();
    assert_eq!(fs::metadata(back.path().join("closed")).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn long_names_and_targets_of_other_programs_archives_are_restored() {
    let (name, target) = (format!("{}/file", "n".repeat(150)), format!("{}/file", "t".repeat(150)));
    let archive = gzipped(|tar| {
        tar.append_pax_extensions([("path", name.as_bytes()), ("mtime", b"1.5")]).unwrap();
        tar.append(&header("short", EntryType::Regular, "", 4), &b"text"[..]).unwrap();
        tar.append_pax_extensions([("linkpath", target.as_bytes())]).unwrap();
        entry(tar, "link", EntryType::Symlink, "short");
    });
    let back = unpacked(&archive).unwrap();
    assert_eq!(fs::read(back.path().join(name)).unwrap(), b"text");
    assert_eq!(fs::read_link(back.path().join("link")).unwrap(), Path::new(&target));
}

#[test]
fn a_folder_with_more_names_than_unpacking_keeps_is_not_packed() {
    let folder = tempfile::tempdir().unwrap();
    let target = "t".repeat(3_000);
    for n in 0..12_000 {
        symlink(&target, folder.path().join(n.to_string())).unwrap();
    }
    let refused = pack(folder.path(), io::sink()).err().unwrap();
    assert!(matches!(refused, ArchiveError::TooLarge { .. }), "{refused}");
}
