//! Is everything noticed that a registry, a host or a thief could change? One thing at a time, each refused at its own step,
//! with exit code 3, and with nothing written.
//!
//! | file | answers |
//! |---|---|
//! | `world` | what honest commons is attacked? |
//! | `site` | what does a registry serve, and with what changed? |
//! | `change` | how is one thing changed, and nothing else? |
//! | `forge` | what can a host and all witnesses show together? |
//! | `scene` | what does the victim do, and what did it say and write? |
//! | `mirror` | what does a registry make of it that follows a changed repository? |
//! | `rows` | what is changed, and which check must notice? |

mod change;
mod forge;
mod mirror;
mod rows;
mod scene;
mod site;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use mirror::{Mirror, Until};
use rows::{LOG, Row, rows};
use scene::{Scene, Way};
use world::World;

/// Attacks under way at once.
const THREADS: usize = 4;

#[test]
fn every_tampering_is_refused_at_its_own_step_and_nothing_is_written() {
    let world = World::new();
    what_is_honest_is_accepted(&world);
    a_mirror_tells_wrong_leaves_from_a_second_history(&world);
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

/// The control: with nothing changed, every command that the table relies on does its work.
fn what_is_honest_is_accepted(world: &World) {
    for way in Way::ALL {
        for is_first in [false, true] {
            let ended = Scene::new(world, way, is_first).run(world);
            assert_eq!(ended.code, Some(0), "{way:?} without any tampering: {ended:#?}");
        }
    }
    let scene = Scene::new(world, Way::Audit, false);
    let mirror = Mirror::start(world, &scene);
    let followed = mirror.follow(world, Until::Once);
    assert_eq!(followed.leaves, world.late.leaves(LOG).len() as u64, "{followed:#?}");
    assert!(followed.refusals.is_empty(), "{followed:#?}");
    mirror.stop(world);
}

/// A registry that holds a log is shown a longer one, properly signed. With leaves that do not belong to it, the peer's
/// repository is at fault; with the leaves of another beginning, the log itself is.
fn a_mirror_tells_wrong_leaves_from_a_second_history(world: &World) {
    let held = world.late.leaves(LOG);
    let longer = |mut leaves: Vec<Vec<u8>>, time: u64| {
        while leaves.len() <= held.len() {
            leaves.push(forge::snapshot(leaves.len() as u64, time, &change::north_files(&world.late)));
        }
        leaves
    };
    let (ours, theirs) = (longer(held.clone(), world.now), longer(held.clone(), world.now + 1));
    let other = longer(world.early.leaves(LOG), world.now);
    for (what, head_of, leaves, step, evidence) in [
        ("a leaf that the head does not hold", ours, theirs, "inclusion", 0),
        ("another beginning", other.clone(), other, "consistency", 1),
    ] {
        let scene = Scene::new(world, Way::Audit, false);
        let mirror = Mirror::start(world, &scene);
        assert_eq!(mirror.follow(world, Until::Once).leaves, held.len() as u64);
        let head = forge::Forged::new(&world.log_keys, head_of, world.now).head();
        change::write_clone(&scene, LOG, &leaves, &head);
        let followed = mirror.follow(world, Until::Refused);
        mirror.stop(world);
        assert_eq!(followed.leaves, held.len() as u64, "{what}: {followed:#?}");
        assert_eq!(followed.evidence, evidence, "{what}: {followed:#?}");
        assert!(
            followed.refusals.iter().any(|why| why.starts_with(&format!("{step}|"))),
            "{what} is refused at `{step}`: {followed:#?}"
        );
    }
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
    match row.way {
        // A registry makes its own index; what lies in a peer's repository for people is nothing to it.
        Way::Audit if row.step != "index" => mirror::judge(world, row.step, row.tamper),
        _ => Ok(()),
    }
}

#[test]
fn no_two_rows_have_one_name() {
    let mut names: Vec<&str> = rows().iter().map(|row| row.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), rows().len());
}
