//! How long does an answer take: over the real graph of 1,493 locked packages, and over a made one of a commons' size?

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::Duration;

use brick_resolver::resolve;
use brick_schemas::predicate::release::Dependency;
use common::{World, dependency, name, release, version};
use criterion::{Criterion, criterion_group, criterion_main};

const BRICKS: usize = 5_000;
const RELEASES: usize = 10;
/// Requirements of each release, at most; on average one, so that a root needs some hundreds of bricks and not all of them.
const REQUIRES: usize = 2;
/// Bricks that the root requires.
const ROOTS: usize = 30;
/// How far ahead a brick's requirements lie, so that there is no circle.
const REACH: usize = 400;

/// A reproducible sequence (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).expect("it is below a usize")
    }
}

fn requirement(brick: usize, dice: &mut Dice) -> Dependency {
    // Of the lines 1 and 2, each of five releases.
    let req = match dice.below(20) {
        0 => "~2.1",
        1..4 => ">=1&<3",
        n => ["^1", "^1.2", "^2", "^2.3"][n % 4],
    };
    dependency(&format!("b{brick} {req}"))
}

/// 5,000 bricks with 10 releases each, of which the root requires 30.
fn made() -> World {
    let mut dice = Dice(1);
    let mut world = World::default();
    for brick in 0..BRICKS {
        let releases = (0..RELEASES).map(|n| {
            let count = dice.below(REQUIRES + 1);
            let ahead = (0..count).map(|_| brick + 1 + dice.below(REACH)).filter(|other| *other < BRICKS);
            let others: std::collections::BTreeSet<usize> = ahead.collect();
            let deps = others.into_iter().map(|other| requirement(other, &mut dice)).collect();
            release(name(&format!("b{brick}")), version(&format!("{}.{}.0", 1 + n / 5, n % 5)), deps)
        });
        let releases = releases.collect();
        world.bricks.insert(name(&format!("b{brick}")), Some(releases));
    }
    world.requires = (0..ROOTS).map(|at| requirement(at * (REACH / ROOTS), &mut dice)).collect();
    world
}

fn measure(criterion: &mut Criterion, what: &str, world: &World) {
    let universe = world.universe();
    let resolution = resolve(&world.problem(&universe)).expect("it can be met");
    println!("{what}: {} bricks known, {} chosen", world.bricks.len(), resolution.bricks.len());
    let mut group = criterion.benchmark_group(what);
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group
        .bench_function("from nothing", |bench| bench.iter(|| resolve(black_box(&world.problem(&universe)))));
    let mut locked = world.clone();
    locked.locked = resolution.locked();
    group.bench_function("as locked", |bench| bench.iter(|| resolve(black_box(&locked.problem(&universe)))));
    group.finish();
}

fn resolving(criterion: &mut Criterion) {
    measure(criterion, "5,000 bricks of 10 releases", &made());
    if let Some(real) = common::graph::graph() {
        measure(criterion, "60 packages with all they need", &real);
    }
}

criterion_group!(benches, resolving);
criterion_main!(benches);
