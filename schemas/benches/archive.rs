//! How fast are archives written and read, every byte of them checked?

use std::hint::black_box;

use brick_schemas::archive::{ArchivePath, Limits, read, write};
use brick_schemas::{BrickName, Manifest, Version};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Files beside the manifest.
const FILES: usize = 64;
/// Lines of each: some 16 KiB.
const LINES: usize = 300;

const MANIFEST: &str = include_str!("../../tests/fuzz/seeds/schemas_manifest/everything");

fn archives(criterion: &mut Criterion) {
    let (name, version) =
        (BrickName::parse("case-handling").expect("a name"), Version::parse("1.4.0").expect("a version"));
    let text = |file: usize| -> String {
        (0..LINES)
            .map(|line| format!("  - name: field-{}\n    description: {}\n", line * file, line ^ file))
            .collect()
    };
    let texts: Vec<(ArchivePath, String)> = (0..FILES)
        .map(|file| (ArchivePath::parse(&format!("api/part-{file}.yaml")).expect("a path"), text(file)))
        .chain([(ArchivePath::parse("brick.toml").expect("a path"), MANIFEST.to_owned())])
        .collect();
    let files: Vec<(ArchivePath, &[u8])> =
        texts.iter().map(|(path, text)| (path.clone(), text.as_bytes())).collect();
    let bytes: usize = files.iter().map(|(_, content)| content.len()).sum();
    let archive = write(&name, &version, &files).expect("good files");
    println!("{} files, {bytes} bytes, {} packed", files.len(), archive.len());
    let mut group = criterion.benchmark_group("archive");
    group.throughput(Throughput::Bytes(bytes as u64)).sample_size(10);
    group.bench_function("write", |bench| bench.iter(|| write(&name, &version, black_box(&files))));
    group.bench_function("read", |bench| {
        bench.iter(|| {
            read(black_box(&archive), &Limits::default()).expect("it was just written").files().len()
        });
    });
    group.finish();
    let mut group = criterion.benchmark_group("manifest");
    group.throughput(Throughput::Bytes(MANIFEST.len() as u64));
    group.bench_function("parse", |bench| bench.iter(|| Manifest::parse(black_box(MANIFEST))));
    group.finish();
}

criterion_group!(benches, archives);
criterion_main!(benches);
