//! Is everything noticed that a registry, a host or a thief could change? One thing at a time, each refused at its own step,
//! with exit code 3, and with nothing written.
//!
//! | file | answers |
//! |---|---|
//! | `world` | what honest commons is attacked? |
//! | `site` | what does a registry serve, and with what changed? |
//! | `forge` | what can a host and all witnesses show together? |
//! | `scene` | what does the victim do, and what did it say and write? |
//! | `rows` | what is changed, and which check must notice? |

mod forge;
mod rows;
mod scene;
mod site;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rows::{Row, rows};
use scene::{Scene, Way};
use world::World;

/// Attacks under way at once.
const THREADS: usize = 4;

#[test]
fn every_tampering_is_refused_at_its_own_step_and_nothing_is_written() {
    let world = World::new();
    let rows = rows();
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = attack(&world, row);
                    outcomes.lock().expect("no attack panics while it holds this").push((row.name, outcome));
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().expect("all attacks have ended");
    let failed: Vec<String> = outcomes
        .iter()
        .filter_map(|(name, outcome)| outcome.as_ref().err().map(|err| format!("{name}: {err}")))
        .collect();
    assert_eq!(outcomes.len(), rows.len());
    println!("{} kinds of tampering, {} refused as they must be", rows.len(), rows.len() - failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n----\n"));
}

fn attack(world: &World, row: &Row) -> Result<(), String> {
    let visits: &[bool] = match row.way {
        Way::FetchAll | Way::FetchRelease => &[false, true],
        Way::FetchFirst => &[true],
        _ => &[false],
    };
    for is_first in visits {
        let mut scene = Scene::new(world, row.way, *is_first);
        (row.tamper)(world, &mut scene);
        let who = if *is_first { "first visit: " } else { "" };
        scene.judge(world, row.step, row.leaves, *is_first).map_err(|err| format!("{who}{err}"))?;
    }
    Ok(())
}

#[test]
fn no_two_rows_have_one_name() {
    let mut names: Vec<&str> = rows().iter().map(|row| row.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), rows().len());
}
