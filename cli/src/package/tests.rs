//! Folders and what becomes of them.

use std::fs;
use std::path::Path;

use super::*;

const MANIFEST: &str = r#"
manifest = 1
[brick]
name = "northshire.example/case-handling"
version = "1.4.0"
kind = "component"
maturity = "live"
license = "MIT"
[text.en]
title = "Case handling"
summary = "Open, assign, progress and close a case."
"#;

/// A folder with a manifest, in which `[brick]` has `extra` lines, and empty files.
fn folder(extra: &str, files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let manifest = MANIFEST.replace("license = \"MIT\"", &format!("license = \"MIT\"\n{extra}"));
    put(dir.path(), "brick.toml", manifest.as_bytes());
    for file in files {
        put(dir.path(), file, b"");
    }
    dir
}

fn put(dir: &Path, file: &str, content: &[u8]) {
    let path = dir.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn paths(dir: &Path) -> Vec<String> {
    package(dir).unwrap().files.iter().map(|(path, _)| path.to_string()).collect()
}

/// The error and all its causes, in a line.
fn refusal(dir: &Path) -> String {
    let err = package(dir).unwrap_err();
    let mut said = err.to_string();
    let mut source = std::error::Error::source(&err);
    while let Some(err) = source {
        said += &format!(": {err}");
        source = err.source();
    }
    said
}

#[test]
fn a_folder_becomes_an_archive_that_can_be_read() {
    let dir = folder("", &["README.md"]);
    put(dir.path(), "api/case.yaml", b"openapi: 3.1.0\n");
    let package = package(dir.path()).unwrap();
    assert_eq!(package.file_name(), "case-handling-1.4.0.brick");
    let archive = archive::read(&package.archive, &Limits::default()).unwrap();
    assert_eq!(archive.contents(), package.contents);
    assert_eq!(archive.file("api/case.yaml").unwrap(), b"openapi: 3.1.0\n");
    assert_eq!(archive.manifest(), fs::read(dir.path().join("brick.toml")).unwrap());
    assert_eq!(package.files[1], (ArchivePath::parse("api/case.yaml").unwrap(), 15));
    assert_eq!(package.digest(), Digest::of(&package.archive));
}

#[test]
fn files_are_chosen_as_cargo_chooses_them() {
    let all = [
        "a.md",
        "sub/a.md",
        "sub/b.txt",
        "build/out.bin",
        ".hidden",
        ".github/x.yml",
        "brick.lock",
        "sub/brick.lock",
        "nested/brick.toml",
        "nested/a.md",
        ".git/config",
        "vendored/.git/config",
        "bricks/.vendored",
        "bricks/mid.example/address.tlog-proof",
        "bricks/mid.example/address/brick.toml",
    ];
    let everything = [
        ".github/x.yml",
        ".gitignore",
        ".hidden",
        "a.md",
        "brick.toml",
        "build/out.bin",
        "sub/a.md",
        "sub/b.txt",
    ];
    for (what, extra, ignored, wanted) in [
        (
            "neither hidden nor nested nor vendored nor locks",
            "",
            "",
            &["a.md", "brick.toml", "build/out.bin", "sub/a.md", "sub/b.txt"][..],
        ),
        ("git-ignored", "", "/build\n*.txt\n", &["a.md", "brick.toml", "sub/a.md"]),
        ("git-ignored but for one", "", "*.md\n!/a.md\n*.txt\nbuild/\n", &["a.md", "brick.toml"]),
        ("excluded", "exclude = [\"sub/\", \"*.bin\"]", "", &["a.md", "brick.toml"]),
        ("but for one", "exclude = [\"*.md\", \"!sub/a.md\"]", "/build\n*.txt", &["brick.toml", "sub/a.md"]),
        ("included", "include = [\"*.md\"]", "", &["a.md", "brick.toml", "sub/a.md"]),
        ("included at the top", "include = [\"/*.md\"]", "", &["a.md", "brick.toml"]),
        ("included folder", "include = [\"sub/\"]", "", &["brick.toml", "sub/a.md", "sub/b.txt"]),
        ("included although ignored", "include = [\"build\"]", "/build\n", &["brick.toml", "build/out.bin"]),
        (
            "included hidden",
            "include = [\".hidden\", \".github/**\"]",
            "",
            &[".github/x.yml", ".hidden", "brick.toml"],
        ),
        (
            "include goes before exclude",
            "include = [\"a.md\"]\nexclude = [\"a.md\"]",
            "",
            &["a.md", "brick.toml", "sub/a.md"],
        ),
        ("everything included", "include = [\"*\"]", "", &everything),
        ("the manifest ignored", "exclude = [\"*\"]", "*\n", &["brick.toml"]),
    ] {
        let dir = folder(extra, &all);
        put(dir.path(), ".gitignore", ignored.as_bytes());
        assert_eq!(paths(dir.path()), wanted, "{what}");
    }
}

#[test]
fn a_gitignore_counts_up_to_the_top_of_the_repository_and_not_above() {
    let home = tempfile::tempdir().unwrap();
    put(home.path(), ".gitignore", b"*.md\n");
    put(home.path(), "repo/.gitignore", b"*.log\n");
    put(home.path(), "repo/brick/brick.toml", MANIFEST.as_bytes());
    put(home.path(), "repo/brick/a.md", b"");
    put(home.path(), "repo/brick/a.log", b"");
    let brick = home.path().join("repo/brick");
    assert_eq!(paths(&brick), ["a.log", "a.md", "brick.toml"]);
    fs::create_dir(home.path().join("repo/.git")).unwrap();
    assert_eq!(paths(&brick), ["a.md", "brick.toml"]);
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let files: Vec<String> = (0..40).map(|n| format!("{}/f{}.md", n % 7, n * 37 % 101)).collect();
    let make = |order: &mut dyn Iterator<Item = &String>| {
        let dir = folder("", &[]);
        for file in order {
            put(dir.path(), file, file.as_bytes());
        }
        dir
    };
    let one = make(&mut files.iter());
    let other = make(&mut files.iter().rev());
    for (n, file) in files.iter().enumerate() {
        let days = std::time::Duration::from_secs(86_400 * n as u64);
        let opened = fs::File::options().write(true).open(one.path().join(file)).unwrap();
        opened.set_modified(std::time::SystemTime::UNIX_EPOCH + days).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let modes = [0o600, 0o644, 0o755, 0o777, 0o444];
            let mode = fs::Permissions::from_mode(modes[n % modes.len()]);
            fs::set_permissions(other.path().join(file), mode).unwrap();
        }
    }
    let (one, other) = (package(one.path()).unwrap(), package(other.path()).unwrap());
    assert_eq!(one.files.len(), 41);
    assert_eq!(one.archive, other.archive);
    assert_eq!(one.contents, other.contents);
}

#[test]
fn a_folder_that_cannot_be_a_brick_is_refused_by_what_is_wrong() {
    // In two pieces, so that this file is not mistaken for a key itself.
    let key = |kind: &str| format!("-----BEGIN {kind}PRIVATE KEY-----\nAAAA\n");
    let (rsa, openssh) = (key("RSA "), key("OPENSSH "));
    for (extra, file, content, says) in [
        ("", "server.key", "", "`server.key` looks like a secret"),
        ("", "docs/id_ed25519", "", "`docs/id_ed25519` looks like a secret"),
        ("include = [\"*\"]", ".env", "", "`.env` looks like a secret"),
        ("", "a.pem", &rsa, "holds a private key"),
        ("", "notes.txt", &openssh, "holds a private key"),
        ("", "NUL.txt", "", "`NUL.txt` cannot be the path"),
        ("", "-rf", "", "begins with `-`"),
        ("", "A.md", "", "differ only in case"),
        ("include = [\"{a\"]", "x", "", "`{a` in `include`"),
        ("exclude = [\"{b\"]", "x", "", "`{b` in `exclude`"),
        ("readme = \"README.md\"", "x", "", "`README.md` in `brick.readme`, which is not among"),
        ("readme = \"README.md\"\nexclude = [\"*.md\"]", "README.md", "", "is not among"),
    ] {
        let dir = folder(extra, &["a.md"]);
        put(dir.path(), file, content.as_bytes());
        let said = refusal(dir.path());
        assert!(said.contains(says), "{file}: {said}");
        assert!(!said.contains("AAAA"));
    }
}

#[test]
fn what_is_left_out_may_be_anything() {
    let dir = folder("exclude = [\"private/\"]", &["private/server.key", "private/nul"]);
    put(dir.path(), ".env", b"PASSWORD=x");
    assert_eq!(paths(dir.path()), ["brick.toml"]);
}

#[test]
fn a_missing_or_broken_manifest_is_named() {
    let dir = tempfile::tempdir().unwrap();
    assert!(refusal(dir.path()).contains("there is no `brick.toml` in"));
    put(dir.path(), "brick.toml", b"manifest = 1\n[brick]\nnam = 1\n");
    assert!(matches!(package(dir.path()), Err(PackageError::Manifest { text, .. }) if text.contains("nam")));
    put(dir.path(), "brick.toml", b"\xff");
    assert!(matches!(package(dir.path()), Err(PackageError::Manifest { .. })));
    put(dir.path(), "brick.toml", " ".repeat(300 << 10).as_bytes());
    assert!(matches!(package(dir.path()), Err(PackageError::Manifest { .. })));
    assert!(refusal(&dir.path().join("nowhere")).contains("cannot read"));
}

#[cfg(unix)]
#[test]
fn links_and_names_that_are_not_text_are_refused_unless_left_out() {
    use std::os::unix::ffi::OsStrExt as _;
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "passwd", b"secret");
    for target in [outside.path().join("passwd"), outside.path().to_owned(), "a.md".into(), "nowhere".into()]
    {
        let dir = folder("", &["a.md"]);
        std::os::unix::fs::symlink(&target, dir.path().join("link")).unwrap();
        assert!(refusal(dir.path()).contains("`link` is a symbolic link"), "{target:?}");
        put(dir.path(), ".gitignore", b"link\n");
        assert_eq!(paths(dir.path()), ["a.md", "brick.toml"]);
    }
    let dir = folder("", &[]);
    fs::remove_file(dir.path().join("brick.toml")).unwrap();
    put(outside.path(), "brick.toml", MANIFEST.as_bytes());
    std::os::unix::fs::symlink(outside.path().join("brick.toml"), dir.path().join("brick.toml")).unwrap();
    assert!(refusal(dir.path()).contains("cannot read"), "a manifest that lies elsewhere");

    let dir = folder("", &[]);
    fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"a\xff\x1b.md")), b"").unwrap();
    let said = refusal(dir.path());
    assert!(said.contains("is not UTF-8") && !said.contains('\x1b'), "{said}");

    let dir = folder("", &[]);
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    assert!(refusal(dir.path()).contains("`socket` is a device, pipe or socket"));
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_read_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = folder("", &["sub/a.md"]);
    let file = dir.path().join("sub/a.md");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&file).is_ok() {
        println!("skipped: this user may read every file");
        return;
    }
    assert!(refusal(dir.path()).contains("sub/a.md"));
}

#[test]
fn a_folder_with_too_many_files_is_refused() {
    let dir = folder("", &[]);
    for n in 0..4096 {
        fs::write(dir.path().join(format!("{n}")), b"").unwrap();
    }
    assert!(refusal(dir.path()).contains("more than 4096 files"));
}

fn sample() -> archive::Archive {
    let dir = folder("", &["docs/empty", "docs/deep/er/x"]);
    put(dir.path(), "api/case.yaml", b"openapi: 3.1.0\n");
    archive::read(&package(dir.path()).unwrap().archive, &Limits::default()).unwrap()
}

#[test]
fn what_is_unpacked_is_what_was_packed() {
    let archive = sample();
    let home = tempfile::tempdir().unwrap();
    let target = home.path().join("a/b/case-handling");
    unpack(&archive, &target).unwrap();
    for (path, content) in archive.files() {
        assert_eq!(fs::read(target.join(path.as_str())).unwrap(), content);
    }
    assert_eq!(package(&target).unwrap().contents, archive.contents());
    let beside: Vec<_> = fs::read_dir(target.parent().unwrap()).unwrap().collect();
    assert_eq!(beside.len(), 1, "nothing but the target");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        // The umask only ever takes bits away.
        assert_eq!(mode(&target.join("api/case.yaml")) & !0o644, 0);
        assert_eq!(mode(&target.join("docs/deep")) & !0o755, 0);
        assert_eq!(mode(&target), mode(&target.join("docs")), "the top is as open as what is in it");
    }
}

#[test]
fn unpacking_leaves_what_is_there_and_nothing_else_behind() {
    let archive = sample();
    let home = tempfile::tempdir().unwrap();
    let target = home.path().join("x");
    put(home.path(), "x/mine", b"mine");
    assert!(matches!(unpack(&archive, &target), Err(UnpackError::Occupied { .. })));
    assert_eq!(fs::read(home.path().join("x/mine")).unwrap(), b"mine");
    put(home.path(), "file", b"");
    assert!(matches!(unpack(&archive, &home.path().join("file/x")), Err(UnpackError::Prepare { .. })));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere", home.path().join("link")).unwrap();
        assert!(matches!(unpack(&archive, &home.path().join("link")), Err(UnpackError::Occupied { .. })));
        assert!(!home.path().join("nowhere").exists());
    }
    let left =
        fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut left: Vec<_> = left.filter(|name| name != "link").collect();
    left.sort();
    assert_eq!(left, ["file", "x"]);
}
