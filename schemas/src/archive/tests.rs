//! Archives made byte by byte, each with what is wrong with it; and properties of good ones.

use proptest::prelude::*;

use super::*;

/// A gzip member of `tar`, made without the code under test.
fn gzip(tar: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(tar).unwrap();
    let mut crc = flate2::Crc::new();
    crc.update(tar);
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
    bytes.extend(encoder.finish().unwrap());
    bytes.extend(crc.sum().to_le_bytes());
    bytes.extend((tar.len() as u32).to_le_bytes());
    bytes
}

/// The tar stream of an archive, inflated without the code under test.
fn gunzip(archive: &[u8]) -> Vec<u8> {
    use std::io::Read as _;
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(archive).read_to_end(&mut tar).unwrap();
    tar
}

/// A member, made field by field: what is not set is canonical.
struct Member {
    name: Vec<u8>,
    prefix: Vec<u8>,
    content: Vec<u8>,
    /// Overwrites these bytes of the header before the checksum is made.
    patches: Vec<(usize, Vec<u8>)>,
    /// Overwrites these after it.
    late_patches: Vec<(usize, Vec<u8>)>,
    padding: u8,
}

fn member(path: &str, content: &[u8]) -> Member {
    Member {
        name: path.as_bytes().to_vec(),
        prefix: Vec::new(),
        content: content.to_vec(),
        patches: Vec::new(),
        late_patches: Vec::new(),
        padding: 0,
    }
}

impl Member {
    fn patch(mut self, at: usize, bytes: &[u8]) -> Self {
        self.patches.push((at, bytes.to_vec()));
        self
    }

    fn late(mut self, at: usize, bytes: &[u8]) -> Self {
        self.late_patches.push((at, bytes.to_vec()));
        self
    }

    fn kind(self, byte: u8) -> Self {
        self.patch(156, &[byte])
    }

    fn bytes(&self) -> Vec<u8> {
        let mut header = vec![0; 512];
        let put = |header: &mut Vec<u8>, at: usize, bytes: &[u8]| {
            header[at..at + bytes.len()].copy_from_slice(bytes);
        };
        put(&mut header, 0, &self.name);
        put(&mut header, 100, b"0000644\x000000000\x000000000\x00");
        put(&mut header, 124, format!("{:011o}\0", self.content.len()).as_bytes());
        put(&mut header, 136, b"00000000000\x00");
        put(&mut header, 156, b"0");
        put(&mut header, 257, b"ustar\x0000");
        put(&mut header, 345, &self.prefix);
        for (at, bytes) in &self.patches {
            put(&mut header, *at, bytes);
        }
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
        put(&mut header, 148, format!("{sum:07o}\0").as_bytes());
        for (at, bytes) in &self.late_patches {
            put(&mut header, *at, bytes);
        }
        header.extend_from_slice(&self.content);
        header.resize(header.len().next_multiple_of(512), self.padding);
        header
    }
}

fn manifest() -> Member {
    member("x-1.0.0/brick.toml", b"manifest = 1\n")
}

fn stream(members: &[Member]) -> Vec<u8> {
    let mut tar: Vec<u8> = members.iter().flat_map(Member::bytes).collect();
    tar.resize(tar.len() + 1024, 0);
    tar
}

fn check(archive: &[u8]) -> Result<Archive, &'static str> {
    read(archive, &Limits::default()).map_err(|err| {
        // Whatever the input, what is said about it is text for a terminal.
        let mut said = err.to_string();
        let mut source = std::error::Error::source(&err);
        while let Some(err) = source {
            said += &err.to_string();
            source = err.source();
        }
        assert!(!said.chars().any(char::is_control), "{said:?}");
        err.name()
    })
}

fn path(text: &str) -> ArchivePath {
    ArchivePath::parse(text).unwrap()
}

fn pack(files: &[(ArchivePath, &[u8])]) -> Result<Vec<u8>, WriteError> {
    write(&BrickName::parse("x").unwrap(), &Version::parse("1.0.0").unwrap(), files)
}

#[test]
fn members_made_by_hand_are_read() {
    let long = "d".repeat(100);
    let mut far = member(&long, b"far");
    far.prefix = b"x-1.0.0/docs".to_vec();
    let members = [member("x-1.0.0/a b.yaml", b""), manifest(), far, member("x-1.0.0/docs/x", &[7; 512])];
    let archive = check(&gzip(&stream(&members))).unwrap();
    assert_eq!(archive.name().as_str(), "x");
    assert_eq!(archive.version().to_string(), "1.0.0");
    assert_eq!(archive.manifest(), b"manifest = 1\n");
    assert_eq!(archive.file(&format!("docs/{long}")).unwrap(), b"far");
    assert_eq!(archive.file("docs/x").unwrap(), [7; 512]);
    assert_eq!(archive.file("docs"), None);
    assert_eq!(archive.files().len(), 4);
    assert_eq!(archive.unpacked_bytes(), (4 + 3 + 2) * 512);
}

#[test]
fn how_the_deflate_stream_was_made_is_left_open() {
    let tar = stream(&[manifest()]);
    let mut stored = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255, 1];
    stored.extend((tar.len() as u16).to_le_bytes());
    stored.extend((!(tar.len() as u16)).to_le_bytes());
    stored.extend(&tar);
    stored.extend(&gzip(&tar)[gzip(&tar).len() - 8..]);
    assert_eq!(check(&stored).unwrap().contents(), check(&gzip(&tar)).unwrap().contents());
}

#[test]
fn a_member_that_is_not_exactly_the_format_is_refused_by_name() {
    let m = |path: &str| member(path, b"x");
    let x = || m("x-1.0.0/x");
    let pax = b"30 path=x-1.0.0/../../evil.sh\n";
    let mut in_prefix = m("passwd");
    in_prefix.prefix = b"/etc".to_vec();
    let mut prefix_parent = m("evil");
    prefix_parent.prefix = b"x-1.0.0/..".to_vec();
    let mut wrongly_split = m("x");
    wrongly_split.prefix = b"x-1.0.0".to_vec();
    let mut not_utf8 = m("x-1.0.0/y");
    not_utf8.name = b"x-1.0.0/\xff".to_vec();
    let mut long = m(&"c".repeat(100));
    long.prefix = format!("x-1.0.0/{}", "b".repeat(120)).into_bytes();
    for (what, second, name) in [
        ("symbolic link", x().kind(b'2').patch(157, b"/etc/passwd"), "symlink"),
        ("symbolic link without a target", x().kind(b'2'), "symlink"),
        ("hard link", x().kind(b'1').patch(157, b"x-1.0.0/brick.toml"), "hard-link"),
        ("character device", x().kind(b'3'), "device"),
        ("block device", x().kind(b'4'), "device"),
        ("folder", m("x-1.0.0/x/").kind(b'5'), "directory"),
        ("pipe", x().kind(b'6'), "fifo"),
        ("contiguous file", x().kind(b'7'), "unknown-type"),
        ("old regular file", x().kind(0), "not-canonical"),
        ("pax header", member("x-1.0.0/x", pax).kind(b'x'), "pax"),
        ("global pax header", member("pax_global_header", pax).kind(b'g'), "pax"),
        ("Solaris pax header", member("x-1.0.0/x", pax).kind(b'X'), "pax"),
        ("GNU long name", member("././@LongLink", b"x-1.0.0/evil\0").kind(b'L'), "gnu"),
        ("GNU long link", member("././@LongLink", b"x-1.0.0/evil\0").kind(b'K'), "gnu"),
        ("GNU sparse file", x().kind(b'S'), "gnu"),
        ("GNU volume label", x().kind(b'V'), "gnu"),
        ("GNU multi-volume", x().kind(b'M'), "gnu"),
        ("GNU dump directory", x().kind(b'D'), "gnu"),
        ("unknown type", x().kind(b'!'), "unknown-type"),
        ("absolute path", m("/etc/passwd"), "path-absolute"),
        ("absolute path by prefix", in_prefix, "path-absolute"),
        ("parent folder", m("x-1.0.0/../evil"), "path-parent"),
        ("parent folder at the start", m("../evil"), "path-parent"),
        ("parent folder at the end", m("x-1.0.0/a/.."), "path-parent"),
        ("parent folder by prefix", prefix_parent, "path-parent"),
        ("this folder", m("x-1.0.0/./x"), "path-dot"),
        ("this folder at the start", m("./x-1.0.0/x"), "path-dot"),
        ("empty component", m("x-1.0.0//x"), "path-empty-component"),
        ("slash at the end", m("x-1.0.0/x/"), "path-empty-component"),
        ("empty path", m(""), "path-empty"),
        ("another folder", m("x-1.0.1/x"), "wrong-prefix"),
        ("folder in other case", m("X-1.0.0/x"), "wrong-prefix"),
        ("no folder", m("x"), "wrong-prefix"),
        ("the folder itself as a file", m("x-1.0.0"), "wrong-prefix"),
        ("longer folder", m("x-1.0.0x/x"), "wrong-prefix"),
        ("backslash", m("x-1.0.0/..\\evil"), "path-character"),
        ("drive", m("x-1.0.0/c:evil"), "path-character"),
        ("control character", m("x-1.0.0/a\x1b[2J"), "path-character"),
        ("newline", m("x-1.0.0/a\nb"), "path-character"),
        ("bidi override", m("x-1.0.0/a\u{202e}b"), "path-character"),
        ("zero-width", m("x-1.0.0/.g\u{200c}it"), "path-character"),
        ("NFD", m("x-1.0.0/e\u{301}"), "path-not-nfc"),
        ("not UTF-8", not_utf8, "path-not-utf8"),
        ("leading dash", m("x-1.0.0/-rf"), "path-leading-dash"),
        ("leading space", m("x-1.0.0/ x"), "path-leading-space"),
        ("trailing dot", m("x-1.0.0/x."), "path-trailing"),
        ("device name", m("x-1.0.0/NUL.txt"), "path-device"),
        ("short name", m("x-1.0.0/BRICK~1.TOM"), "path-short-name"),
        ("git folder", m("x-1.0.0/.git/config"), "path-git"),
        ("git folder in other case", m("x-1.0.0/.Git/hooks/x"), "path-git"),
        ("path over 200 bytes", long, "path-too-long"),
        ("duplicate", manifest(), "duplicate"),
        ("collision by case", m("x-1.0.0/brick.TOML"), "collision"),
        ("file below a file", m("x-1.0.0/brick.toml/x"), "file-and-directory"),
        ("unsorted", m("x-1.0.0/a"), "unsorted"),
        ("split for no reason", wrongly_split, "not-canonical"),
        ("name after the end of the name", x().patch(50, b"y"), "not-canonical"),
        ("executable", x().patch(100, b"0000755\0"), "not-canonical"),
        ("setuid", x().patch(100, b"0004755\0"), "not-canonical"),
        ("owner", x().patch(108, b"0001750\0"), "not-canonical"),
        ("group", x().patch(116, b"0001750\0"), "not-canonical"),
        ("time", x().patch(136, b"14371573014\0"), "not-canonical"),
        ("user name", x().patch(265, b"root"), "not-canonical"),
        ("group name", x().patch(297, b"wheel"), "not-canonical"),
        ("link name of a file", x().patch(157, b"y"), "not-canonical"),
        ("device number", x().patch(329, b"0000000\0"), "not-canonical"),
        ("something in the last bytes", x().patch(505, b"y"), "not-canonical"),
        ("GNU magic", x().patch(257, b"ustar  \0"), "not-ustar"),
        ("no magic", x().patch(257, &[0; 8]), "not-ustar"),
        ("magic version", x().patch(263, b"01"), "not-ustar"),
        ("base-256 size", x().patch(124, b"\x80\0\0\0\0\0\0\0\0\0\0\x01"), "not-canonical"),
        ("size with spaces", x().patch(124, b"         1 \0"), "not-canonical"),
        ("size without zeros", x().patch(124, b"1\0\0\0\0\0\0\0\0\0\0\0"), "not-canonical"),
        ("no size", x().patch(124, &[0; 12]), "not-canonical"),
        ("size with a sign", x().patch(124, b"+0000000001\0"), "not-canonical"),
        ("huge size", x().patch(124, b"77777777777\0"), "truncated"),
        ("size over the end", x().patch(124, b"00000005000\0"), "truncated"),
        ("wrong checksum", x().late(148, b"0000001\0"), "checksum"),
        ("changed after the checksum", x().late(0, b"y"), "checksum"),
        ("no checksum", x().late(148, &[0; 8]), "checksum"),
        ("padding", Member { padding: 1, ..x() }, "padding"),
    ] {
        assert_eq!(check(&gzip(&stream(&[manifest(), second]))).map(|_| ()), Err(name), "{what}");
    }
}

#[test]
fn a_checksum_in_another_spelling_is_refused() {
    // GNU tar writes six digits, zero, space.
    let mut tar = stream(&[manifest()]);
    let gnu = [&tar[149..155], b"\0 "].concat();
    tar[148..156].copy_from_slice(&gnu);
    assert_eq!(check(&gzip(&tar)).unwrap_err(), "not-canonical");
}

#[test]
fn a_first_folder_that_is_no_release_is_refused() {
    for folder in ["x", "x-1", "x-1.0", "X-1.0.0", "-1.0.0", "x-01.0.0", "x-1.0.0+b", "x1.0.0", "x--1.0.0"] {
        let tar = stream(&[member(&format!("{folder}/brick.toml"), b"x")]);
        assert_eq!(check(&gzip(&tar)).unwrap_err(), "folder", "{folder}");
    }
    assert_eq!(check(&gzip(&stream(&[member("brick.toml", b"x")]))).unwrap_err(), "folder");
}

#[test]
fn a_folder_has_one_reading() {
    for (folder, name, version) in [
        ("a-1-2.0.0", "a-1", "2.0.0"),
        ("a-1.0.0-rc.1", "a", "1.0.0-rc.1"),
        ("a-b-1.0.0-b-2.c", "a-b", "1.0.0-b-2.c"),
    ] {
        let tar = stream(&[member(&format!("{folder}/brick.toml"), b"x")]);
        let archive = check(&gzip(&tar)).unwrap();
        assert_eq!((archive.name().as_str(), archive.version().to_string().as_str()), (name, version));
    }
}

#[test]
fn a_stream_that_does_not_end_as_it_must_is_refused_by_name() {
    let good = stream(&[manifest()]);
    let cut = |bytes: usize| good[..good.len() - bytes].to_vec();
    let and = |tail: &[u8]| [&good[..], tail].concat();
    let second = manifest().bytes();
    let mut one_block = manifest().bytes();
    one_block.extend([0; 512]);
    one_block.extend(member("x-1.0.0/x", b"x").bytes());
    one_block.extend([0; 1024]);
    for (what, tar, name) in [
        ("nothing", Vec::new(), "missing-end"),
        ("two zero blocks alone", vec![0; 1024], "no-manifest"),
        ("no manifest", stream(&[member("x-1.0.0/x", b"x")]), "no-manifest"),
        ("manifest elsewhere", stream(&[member("x-1.0.0/a/brick.toml", b"x")]), "no-manifest"),
        ("manifest in other case", stream(&[member("x-1.0.0/Brick.toml", b"x")]), "no-manifest"),
        ("no zero block", cut(1024), "missing-end"),
        ("one zero block", cut(512), "missing-end"),
        ("half a zero block", cut(256), "missing-end"),
        ("cut in the header", good[..300].to_vec(), "truncated"),
        ("cut after the header", good[..512].to_vec(), "truncated"),
        ("cut in the content", good[..515].to_vec(), "truncated"),
        ("cut in the padding", good[..600].to_vec(), "truncated"),
        ("a third zero block", and(&[0; 512]), "trailing-data"),
        ("padded to 10 KiB", and(&vec![0; 10_240 - good.len()]), "trailing-data"),
        ("one byte more", and(b"x"), "trailing-data"),
        ("a member after the end", and(&second), "trailing-data"),
        ("a zero block in the middle", one_block, "missing-end"),
    ] {
        assert_eq!(check(&gzip(&tar)).map(|_| ()), Err(name), "{what}");
    }
}

#[test]
fn a_frame_that_is_not_one_plain_gzip_member_is_refused_by_name() {
    let tar = stream(&[manifest()]);
    let good = gzip(&tar);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let end = good.len();
    let and = |tail: &[u8]| [&good[..], tail].concat();
    let mut named = with(3, 8);
    named.splice(10..10, *b"x.tar\0");
    for (what, bytes, name) in [
        ("nothing", Vec::new(), "not-gzip"),
        ("plain tar", tar.clone(), "not-gzip"),
        ("zstd", b"\x28\xb5\x2f\xfd".to_vec(), "not-gzip"),
        ("zip", b"PK\x03\x04".to_vec(), "not-gzip"),
        ("half a header", good[..5].to_vec(), "gzip-truncated"),
        ("another method", with(2, 9), "gzip-header"),
        ("text flag", with(3, 1), "gzip-header"),
        ("header checksum flag", with(3, 2), "gzip-header"),
        ("extra flag", with(3, 4), "gzip-header"),
        ("name", named, "gzip-header"),
        ("comment flag", with(3, 16), "gzip-header"),
        ("reserved flag", with(3, 0x80), "gzip-header"),
        ("time", with(4, 1), "gzip-header"),
        ("level", with(8, 0), "gzip-header"),
        ("system", with(9, 3), "gzip-header"),
        ("header alone", good[..10].to_vec(), "gzip-truncated"),
        ("cut in the stream", good[..end - 20].to_vec(), "gzip-truncated"),
        ("cut in the trailer", good[..end - 1].to_vec(), "gzip-truncated"),
        ("no trailer", good[..end - 8].to_vec(), "gzip-truncated"),
        ("reserved block type", with(10, 0x07), "deflate"),
        ("wrong checksum", with(end - 8, good[end - 8] ^ 1), "gzip-checksum"),
        ("wrong length", with(end - 4, good[end - 4] ^ 1), "gzip-checksum"),
        ("second member", and(&good), "second-gzip-member"),
        ("empty second member", and(&gzip(b"")), "second-gzip-member"),
        ("zeros after the end", and(&[0; 512]), "gzip-trailing-data"),
        ("one byte after the end", and(b"x"), "gzip-trailing-data"),
    ] {
        assert_eq!(check(&bytes).map(|_| ()), Err(name), "{what}");
    }
}

#[test]
fn every_bound_is_kept_on_both_sides() {
    let limits =
        Limits { archive_bytes: 400, unpacked_bytes: 4096, file_count: 3, path_bytes: 10, ratio: 40 };
    let verdict = |limits: Limits, members: &[Member]| match read(&gzip(&stream(members)), &limits) {
        Ok(_) => "",
        Err(err) => err.name(),
    };
    let m = |path: &str| member(&format!("x-1.0.0/{path}"), b"");
    let noise: Vec<u8> =
        (0..2000u32).flat_map(|n| Digest::of(&n.to_le_bytes()).as_bytes()[..1].to_vec()).collect();
    assert_eq!(verdict(limits, &[manifest()]), "");
    assert_eq!(verdict(limits, &[manifest(), m("c"), m("d")]), "");
    assert_eq!(verdict(limits, &[manifest(), m("c"), m("d"), m("e")]), "too-many-files");
    assert_eq!(verdict(limits, &[manifest(), m("c123456789")]), "");
    assert_eq!(verdict(limits, &[manifest(), m("c1234567890")]), "path-too-long");
    assert_eq!(verdict(limits, &[manifest(), member("x-1.0.0/c", &noise)]), "archive-too-big");
    let roomy = Limits { archive_bytes: 4000, ..limits };
    assert_eq!(verdict(roomy, &[manifest(), member("x-1.0.0/c", &noise[..1536])]), "");
    assert_eq!(verdict(roomy, &[manifest(), member("x-1.0.0/c", &noise[..1537])]), "unpacked-too-big");
    let big = Limits { unpacked_bytes: 1 << 20, ..limits };
    assert_eq!(verdict(big, &[manifest(), member("x-1.0.0/c", &[0; 8000])]), "ratio");
}

#[test]
fn bounds_cannot_be_raised() {
    let raised = Limits { ratio: u64::MAX, unpacked_bytes: u64::MAX, ..Limits::default() };
    let bomb = gzip(&stream(&[manifest(), member("x-1.0.0/c", &vec![0; 4 << 20])]));
    assert_eq!(read(&bomb, &raised).unwrap_err().name(), "ratio");
}

#[test]
fn a_bomb_is_left_at_the_bound() {
    // 4 GiB of zeros, a thousand to one: a megabyte of them, squeezed to a whole number of bytes, again and again.
    let mut squeezed = Vec::with_capacity(1 << 16);
    flate2::Compress::new(flate2::Compression::best(), false)
        .compress_vec(&vec![0; 1 << 20], &mut squeezed, flate2::FlushCompress::Full)
        .unwrap();
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
    bytes.extend(squeezed.repeat(4096));
    assert!(bytes.len() < 8 << 20);
    assert_eq!(check(&bytes).unwrap_err(), "unpacked-too-big");
    bytes.truncate(64 << 10);
    assert_eq!(check(&bytes).unwrap_err(), "ratio");
    assert_eq!(check(&vec![0; (16 << 20) + 1]).unwrap_err(), "archive-too-big");
}

#[test]
fn what_reading_refuses_is_not_written() {
    let manifest = (path("brick.toml"), &b"x"[..]);
    let says = |files: &[(ArchivePath, &[u8])]| pack(files).unwrap_err().to_string();
    let zeros = vec![0; 4 << 20];
    let huge = vec![0; 128 << 20];
    let many: Vec<_> = (0..4097).map(|n| (path(&format!("f{n}")), &b""[..])).collect();
    assert!(says(&[]).contains("no `brick.toml`"));
    assert!(says(&[(path("a"), b"")]).contains("no `brick.toml`"));
    assert!(says(&[manifest.clone(), manifest.clone()]).contains("twice"));
    assert!(says(&[manifest.clone(), (path("a"), b""), (path("A"), b"")]).contains("differ only"));
    assert!(says(&[manifest.clone(), (path("a"), b""), (path("a/b"), b"")]).contains("folder"));
    assert!(says(&[manifest.clone(), (path("a"), &zeros)]).contains("200 times"));
    assert!(says(&[manifest.clone(), (path("a"), &huge)]).contains("more than 134217728 bytes"));
    assert!(says(&many).contains("more than 4096 files"));
    assert!(says(&[manifest, (path(&"a".repeat(150)), b"")]).contains("does not fit"));
}

#[test]
fn contents_are_gos_dirhash() {
    // Computed with Python's hashlib from Go's definition (sha256 of the sorted lines `<hex sha256>  <name>\n`). `api-docs`
    // sorts before `api/`, bytewise and not by folder.
    let files = [
        (path("docs/dpia.md"), &b""[..]),
        (path("brick.toml"), b"manifest = 1\n"),
        (path("api/case.yaml"), b"openapi: 3.1.0\n"),
        (path("api-docs/a.md"), b"# A\n"),
    ];
    let known = "h1:03QennVqF9bucq13xrM1OOly1DFDTWLgJsOISKPStXs=";
    assert_eq!(contents(&files).to_string(), known);
    let archive = check(&pack(&files).unwrap()).unwrap();
    assert_eq!(archive.contents().to_string(), known);
    let order: Vec<_> = archive.files().map(|(path, _)| path.as_str()).collect();
    assert_eq!(order, ["api-docs/a.md", "api/case.yaml", "brick.toml", "docs/dpia.md"]);
}

#[test]
fn the_same_files_give_these_very_bytes() {
    // Kept: should another release of the compressor ever give other bytes, this is where it shows.
    let archive =
        pack(&[(path("brick.toml"), b"manifest = 1\n"), (path("a.md"), &b"# A\n".repeat(999))]).unwrap();
    assert_eq!(
        Digest::of(&gunzip(&archive)).to_string(),
        "570294804a654b0603538b104d3b1bd5498ff0da2670b0e5c2a6fa12b5d5e9d7"
    );
    assert_eq!(
        Digest::of(&archive).to_string(),
        "30f31278a98a89c9b4b1d2a6566126a6392284714577f6966fb2d4f6218a4fca"
    );
}

#[test]
fn the_systems_tar_reads_what_is_written() {
    let Ok(version) = std::process::Command::new("tar").arg("--version").output() else {
        println!("skipped: no tar program here");
        return;
    };
    assert!(version.status.success());
    let dir = tempfile::tempdir().unwrap();
    let far = format!("{}/{}", "f".repeat(99), "g".repeat(100));
    let content = b"content\n".repeat(300);
    let files = [
        (path("brick.toml"), &b"x"[..]),
        (path(&far), &content),
        (path("docs/empty"), b""),
        (path("docs/tŷ (1).md"), b"y"),
    ];
    std::fs::write(dir.path().join("x.brick"), pack(&files).unwrap()).unwrap();
    let status =
        std::process::Command::new("tar").args(["-xzf", "x.brick"]).current_dir(dir.path()).status().unwrap();
    assert!(status.success());
    for (path, content) in files {
        assert_eq!(std::fs::read(dir.path().join("x-1.0.0").join(path.as_str())).unwrap(), content);
    }
}

/// Paths that are allowed, with many that collide or nest.
fn any_path() -> impl Strategy<Value = ArchivePath> {
    let component = prop_oneof![
        4 => "[a-c]{1,2}",
        2 => "[A-Ca-c0-9 .()_é]{1,12}",
        1 => "[a-z]{60,99}",
    ];
    proptest::collection::vec(component, 1..4)
        .prop_filter_map("not a path", |parts| ArchivePath::parse(&parts.join("/")).ok())
}

fn any_files() -> impl Strategy<Value = Vec<(ArchivePath, Vec<u8>)>> {
    let content = proptest::collection::vec(any::<u8>(), 0..1300);
    proptest::collection::vec((any_path(), content), 0..12).prop_map(|files| {
        let mut kept = vec![(path("brick.toml"), b"manifest = 1\n".to_vec())];
        for file in files {
            let mut tree = Tree::default();
            let fits = kept.iter().chain([&file]).all(|(path, _)| tree.insert(path).is_ok());
            if fits {
                kept.push(file);
            }
        }
        kept
    })
}

fn slices(files: &[(ArchivePath, Vec<u8>)]) -> Vec<(ArchivePath, &[u8])> {
    files.iter().map(|(path, content)| (path.clone(), content.as_slice())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_and_written_again_the_same(files in any_files(), seed in any::<u64>()) {
        let Ok(archive) = pack(&slices(&files)) else { return Ok(()) };
        let back = check(&archive).unwrap();
        let mut sorted = files.clone();
        sorted.sort();
        let held: Vec<_> = back.files().map(|(path, content)| (path.clone(), content.to_vec())).collect();
        prop_assert_eq!(&held, &sorted);
        prop_assert_eq!(back.contents(), contents(&slices(&files)));
        prop_assert_eq!(&pack(&slices(&held)).unwrap(), &archive);
        let mut other_order = files;
        let turns = seed as usize % other_order.len();
        other_order.rotate_left(turns);
        prop_assert_eq!(&pack(&slices(&other_order)).unwrap(), &archive);
    }

    #[test]
    fn a_changed_byte_is_refused_or_changes_the_contents(
        files in any_files(), at in any::<prop::sample::Index>(), flip in 1..=255u8,
    ) {
        let Ok(archive) = pack(&slices(&files)) else { return Ok(()) };
        let contents = check(&archive).unwrap().contents();
        let mut tar = gunzip(&archive);
        let at = at.index(tar.len());
        tar[at] ^= flip;
        if let Ok(changed) = check(&gzip(&tar)) {
            prop_assert_ne!(changed.contents(), contents);
        }
    }

    #[test]
    fn a_changed_header_with_a_made_up_checksum_is_refused_or_changes_the_contents(
        at in 0..512usize, byte in any::<u8>(),
    ) {
        let good = stream(&[manifest(), member("x-1.0.0/docs/case", b"x")]);
        let contents = check(&gzip(&good)).unwrap().contents();
        let changed = member("x-1.0.0/docs/case", b"x").patch(at, &[byte]);
        let tar = stream(&[manifest(), changed]);
        prop_assume!(tar != good);
        if let Ok(changed) = check(&gzip(&tar)) {
            prop_assert_ne!(changed.contents(), contents);
        }
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let _ = check(&bytes);
        let _ = check(&gzip(&bytes));
        let mut framed = manifest().bytes();
        framed.extend(bytes);
        let _ = check(&gzip(&framed));
    }

    #[test]
    fn whatever_is_accepted_is_what_would_be_written(
        patches in proptest::collection::vec((0..2048usize, any::<u8>()), 1..4),
    ) {
        let mut tar = stream(&[manifest()]);
        for (at, byte) in patches {
            let at = at % tar.len();
            tar[at] = byte;
        }
        if let Ok(archive) = check(&gzip(&tar)) {
            let files: Vec<_> = archive.files().map(|(path, content)| (path.clone(), content)).collect();
            prop_assert_eq!(gunzip(&pack(&files).unwrap()), tar);
        }
    }
}
