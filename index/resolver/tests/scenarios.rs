//! What is chosen, case by case.

mod common;

use brick_resolver::{MAX_EXPLANATION_LINES, Preference, Unresolved};
use common::{World, shown};

fn check(index: &str, expected: &str) {
    let resolution = World::parse(index).resolve().unwrap_or_else(|error| panic!("{index}\n{error}"));
    assert_eq!(shown(&resolution), expected, "{index}");
}

fn explained(index: &str) -> String {
    match World::parse(index).resolve() {
        Err(Unresolved::NoSolution(explanation)) => {
            let text = explanation.to_string();
            assert!(text.lines().count() <= MAX_EXPLANATION_LINES, "{text}");
            text
        }
        other => panic!("{index}\n{other:?}"),
    }
}

#[test]
fn nothing_required_is_nothing_chosen() {
    check("", "");
}

#[test]
fn the_highest_compatible_release_is_chosen() {
    check("root -> a ^1\n a 1.0.0\n a 1.2.0\n a 1.10.0\n a 2.0.0", "a 1.10.0");
    check("root -> a 0.2\n a 0.2.0\n a 0.2.5\n a 0.3.0", "a 0.2.5");
    check("root -> a 0.0.2\n a 0.0.2\n a 0.0.3", "a 0.0.2");
    check("root -> a ~1.2\n a 1.2.0\n a 1.2.3\n a 1.3.0", "a 1.2.3");
    check("root -> a =1.2.0\n a 1.2.0\n a 1.2.3", "a 1.2.0");
    check("root -> a *\n a 1.2.0\n a 2.2.3", "a 2.2.3");
    check("root -> a >=1&<3\n a 1.2.0\n a 2.2.3\n a 3.0.0", "a 2.2.3");
}

#[test]
fn the_lowest_is_chosen_when_that_is_preferred() {
    let world = World::parse("root -> a ^1, b >=1\n a 1.0.0\n a 1.2.0 -> b ^2\n b 1.0.0\n b 1.1.0\n b 2.0.0");
    let lowest = world.resolve_preferring(Preference::Lowest).unwrap();
    assert_eq!(shown(&lowest), "a 1.0.0, b 1.0.0");
}

#[test]
fn releases_of_one_line_are_shared_and_of_two_lines_stand_side_by_side() {
    check(
        "root -> a ^1, b ^1\n a 1.0.0 -> c ~1.1\n b 1.0.0 -> c ^1\n c 1.1.0\n c 1.2.0",
        "a 1.0.0, b 1.0.0, c 1.1.0",
    );
    check(
        "root -> a ^1, b ^1\n a 1.0.0 -> c ^1\n b 1.0.0 -> c ^2\n c 1.1.0\n c 2.2.0",
        "a 1.0.0, b 1.0.0, c 1.1.0, c 2.2.0",
    );
}

#[test]
fn a_requirement_over_several_lines_falls_back_to_a_line_that_works() {
    check("root -> a >=1, b ~1.0\n a 1.0.0\n a 2.0.0 -> b ~1.1\n b 1.0.0\n b 1.1.0", "a 1.0.0, b 1.0.0");
    check("root -> a ^0\n a 0.0.1\n a 0.1.0\n a 0.3.1\n a 1.0.0", "a 0.3.1");
}

#[test]
fn prereleases_are_chosen_only_where_one_is_named() {
    check("root -> a ^1\n a 1.0.0\n a 1.1.0-rc.1", "a 1.0.0");
    check("root -> a *\n a 1.0.0\n a 2.0.0-rc.1", "a 1.0.0");
    check("root -> a ^1.1.0-rc.1\n a 1.0.0\n a 1.1.0-rc.1\n a 1.1.0-rc.2", "a 1.1.0-rc.2");
    check("root -> a ^1.1.0-rc.1\n a 1.1.0-rc.2\n a 1.1.0", "a 1.1.0");
    // Another requirement that names none forbids it.
    let text = explained("root -> a ^1.1.0-rc.1, b ^1\n a 1.0.0\n a 1.1.0-rc.1\n b 1.0.0 -> a ^1");
    assert!(text.contains("1.1.0-rc.1 is a pre-release"), "{text}");
}

#[test]
fn yanked_and_withdrawn_releases_are_never_newly_chosen() {
    check("root -> a ^1\n a 1.0.0\n a 1.1.0; yanked\n a 1.2.0; withdrawn", "a 1.0.0");
    check("root -> a ^1\n lock a 1.0.0\n a 1.0.0\n a 1.1.0; yanked", "a 1.0.0");
}

#[test]
fn a_locked_yanked_release_stays_and_is_told() {
    let world = World::parse("root -> a ^1\n lock a 1.1.0\n a 1.0.0\n a 1.1.0; yanked\n a 1.2.0");
    let resolution = world.resolve().unwrap();
    assert_eq!(shown(&resolution), "a 1.1.0");
    assert_eq!(resolution.notes().map(|note| note.status.to_string()).collect::<Vec<_>>(), ["yanked"]);
}

#[test]
fn a_deprecated_release_is_chosen_and_told() {
    let resolution = World::parse("root -> a ^1\n a 1.0.0\n a 1.1.0; deprecated").resolve().unwrap();
    assert_eq!(shown(&resolution), "a 1.1.0");
    assert_eq!(resolution.notes().count(), 1);
}

#[test]
fn the_lock_comes_first_where_it_still_fits() {
    check("root -> a ^1\n lock a 1.0.0\n a 1.0.0\n a 1.1.0", "a 1.0.0");
    check("root -> a ^1.1\n lock a 1.0.0\n a 1.0.0\n a 1.1.0\n a 1.2.0", "a 1.2.0");
    check("root -> a >=1\n lock a 1.0.0\n a 1.0.0\n a 1.1.0\n a 2.0.0", "a 1.0.0");
    check("root -> a ^1, b ^1\n lock b 1.0.0\n a 1.0.0 -> b ^1\n b 1.0.0\n b 1.1.0", "a 1.0.0, b 1.0.0");
    // What is locked but no longer required goes.
    check("root -> a ^1\n lock b 1.0.0\n a 1.0.0\n b 1.0.0", "a 1.0.0");
}

#[test]
fn the_solver_goes_back_when_the_highest_does_not_fit() {
    check(
        "root -> a ^1, b ^1
         a 1.0.0 -> c ~1.0
         a 1.1.0 -> c ~1.1
         b 1.0.0 -> c ~1.0
         c 1.0.0
         c 1.1.0",
        "a 1.0.0, b 1.0.0, c 1.0.0",
    );
}

#[test]
fn a_circle_of_requirements_is_refused_by_name() {
    let refused = |index: &str| match World::parse(index).resolve() {
        Err(error @ Unresolved::Cycle(_)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let text = refused("root -> c ^1\n a 1.0.0 -> b ^1\n b 1.0.0 -> c ^1\n c 1.0.0 -> a ^1");
    assert!(
        text.ends_with(
            "`x.example/a` 1.0.0 requires `x.example/b` 1.0.0 requires `x.example/c` 1.0.0 requires `x.example/a` 1.0.0"
        ),
        "{text}"
    );
    assert!(
        refused("root -> a ^1\n a 1.0.0 -> a ^1")
            .contains("`x.example/a` 1.0.0 requires `x.example/a` 1.0.0")
    );
    // Another line of the same brick is another release: no circle.
    check("root -> a ^2\n a 2.0.0 -> a ^1\n a 1.0.0", "a 1.0.0, a 2.0.0");
    // Of its own line a release can only require itself.
    let text = explained("root -> a ^1\n a 1.0.0 -> gone ^2\n a 1.1.0 -> a =1.0.0");
    assert!(text.contains("requires another release of its own line"), "{text}");
}

// Features: what The Cargo Book says in "Features" and "Specifying dependencies".

#[test]
fn default_features_are_on_unless_asked_otherwise() {
    check(
        "root -> a ^1\n a 1.0.0 -> ?b ^1; default = f; f = dep:b\n b 1.0.0",
        "a 1.0.0 [default f], b 1.0.0",
    );
    check("root -> a ^1 -default\n a 1.0.0 -> ?b ^1; default = f; f = dep:b\n b 1.0.0", "a 1.0.0");
    check(
        "root -> a ^1 -default +f\n a 1.0.0 -> ?b ^1; default = f g; f = dep:b; g =\n b 1.0.0",
        "a 1.0.0 [f], b 1.0.0",
    );
}

#[test]
fn an_optional_requirement_counts_only_where_a_feature_turns_it_on() {
    check("root -> a ^1\n a 1.0.0 -> ?b ^1; f = dep:b\n b 1.0.0", "a 1.0.0");
    check("root -> a ^1 +f\n a 1.0.0 -> ?b ^1; f = dep:b\n b 1.0.0", "a 1.0.0 [f], b 1.0.0");
    // Off, it does not even have to exist.
    check("root -> a ^1\n a 1.0.0 -> ?gone ^1; f = dep:gone", "a 1.0.0");
}

#[test]
fn optional_requirements_and_features_of_the_root_are_all_on() {
    check("root -> ?a ^1\n a 1.0.0", "a 1.0.0");
    check("root -> a ^1\n root f = a/g\n a 1.0.0; g =", "a 1.0.0 [g]");
    check("root -> ?a ^1\n root f = a?/g\n a 1.0.0; g =", "a 1.0.0 [g]");
}

#[test]
fn features_are_unified_over_all_who_ask() {
    check(
        "root -> a ^1, b ^1\n a 1.0.0 -> c ^1 +f\n b 1.0.0 -> c ^1 +g\n c 1.0.0; f =; g =; h =",
        "a 1.0.0, b 1.0.0, c 1.0.0 [f g]",
    );
    // Not over lines.
    check(
        "root -> a ^1, b ^1\n a 1.0.0 -> c ^1 +f\n b 1.0.0 -> c ^2 +g\n c 1.0.0; f =; g =\n c 2.0.0; f =; g =",
        "a 1.0.0, b 1.0.0, c 1.0.0 [f], c 2.0.0 [g]",
    );
    // `default-features = false` of one does not turn off what another asks for.
    check(
        "root -> a ^1 -default, b ^1\n a 1.0.0; default = f; f =\n b 1.0.0 -> a ^1",
        "a 1.0.0 [default f], b 1.0.0",
    );
}

#[test]
fn a_feature_of_a_required_brick_is_turned_on() {
    check("root -> a ^1 +f\n a 1.0.0 -> b ^1; f = b/g\n b 1.0.0; g =", "a 1.0.0 [f], b 1.0.0 [g]");
    // It turns an optional requirement on …
    check("root -> a ^1 +f\n a 1.0.0 -> ?b ^1; f = b/g\n b 1.0.0; g =", "a 1.0.0 [f], b 1.0.0 [g]");
    // … unless it is weak …
    check("root -> a ^1 +f\n a 1.0.0 -> ?b ^1; f = b?/g\n b 1.0.0; g =", "a 1.0.0 [f]");
    // … and then it counts where something else does.
    check(
        "root -> a ^1 +f +h\n a 1.0.0 -> ?b ^1; f = b?/g; h = dep:b\n b 1.0.0; g =",
        "a 1.0.0 [f h], b 1.0.0 [g]",
    );
    check(
        "root -> a ^1 +f, c ^1\n a 1.0.0 -> ?b ^1; f = b?/g; h = dep:b\n b 1.0.0; g =\n c 1.0.0 -> a ^1 +h",
        "a 1.0.0 [f h], b 1.0.0 [g], c 1.0.0",
    );
    // That another brick requires it does not turn it on for this one.
    check("root -> a ^1 +f, b ^1\n a 1.0.0 -> ?b ^1; f = b?/g\n b 1.0.0; g =", "a 1.0.0 [f], b 1.0.0");
}

#[test]
fn a_feature_goes_to_the_line_that_its_requirement_came_to() {
    check(
        "root -> a ^1 +f\n a 1.0.0 -> b >=1; f = b/g\n b 1.0.0; g =\n b 2.0.0; g =",
        "a 1.0.0 [f], b 2.0.0 [g]",
    );
    check("root -> a ^1 +f\n a 1.0.0 -> b >=1; f = b/g\n b 1.0.0; g =\n b 2.0.0", "a 1.0.0 [f], b 1.0.0 [g]");
    check("root -> b >=1 +g\n b 1.0.0; g =\n b 2.0.0", "b 1.0.0 [g]");
}

#[test]
fn a_release_without_the_feature_is_passed_over() {
    check("root -> a ^1 +f\n a 1.0.0; f =\n a 1.1.0", "a 1.0.0 [f]");
    check("root -> a ^1 +f\n a 1.0.0; f =\n a 1.1.0; f = nonsense", "a 1.0.0 [f]");
    check("root -> a ^1 +f\n a 1.0.0; f =\n a 1.1.0; f = dep:b", "a 1.0.0 [f]");
    let text = explained("root -> a ^1 +f\n a 1.0.0\n a 1.1.0");
    assert_eq!(
        text,
        "`northshire.gov.uk/report-missed-bin` requires `x.example/a` ^1 with feature `f`, \
         but 1.0.0 does not have it and 1.1.0 does not have it"
    );
}

#[test]
fn a_feature_s_requirement_can_send_the_solver_back() {
    check(
        "root -> a ^1 +f, b ~1.0\n a 1.0.0 -> ?b ^1; f = dep:b\n a 1.1.0 -> ?b ~1.1; f = dep:b\n b 1.0.0\n b 1.1.0",
        "a 1.0.0 [f], b 1.0.0",
    );
    check(
        "root -> a ^1 +f, c ^1\n a 1.0.0 -> c ^1; f =\n a 1.1.0 -> c ^1; f = c/g\n c 1.0.0",
        "a 1.0.0 [f], c 1.0.0",
    );
}

// Explanations.

#[test]
fn an_unmet_requirement_names_the_releases_there_are() {
    for (index, text) in [
        (
            "root -> midshire.gov.uk/address ^2\n midshire.gov.uk/address 1.0.0\n midshire.gov.uk/address 1.1.0",
            "`northshire.gov.uk/report-missed-bin` requires `midshire.gov.uk/address` ^2, but the only releases are 1.0.0, 1.1.0",
        ),
        (
            "root -> a ^2\n a 1.0.0",
            "`northshire.gov.uk/report-missed-bin` requires `x.example/a` ^2, but the only release is 1.0.0",
        ),
        (
            "root -> a ^4\n a 1.0.0\n a 2.0.0\n a 3.0.0\n a 3.1.0\n a 5.0.0\n a 6.0.0\n a 7.0.0",
            "`northshire.gov.uk/report-missed-bin` requires `x.example/a` ^4, \
             but the nearest of its 7 releases are 2.0.0, 3.0.0, 3.1.0, 5.0.0, 6.0.0",
        ),
        (
            "root -> a ^2\n a 1.0.0\n a 2.0.0; yanked\n a 2.1.0; withdrawn\n a 2.2.0-rc.1",
            "`northshire.gov.uk/report-missed-bin` requires `x.example/a` ^2, but 2.0.0 is yanked, 2.1.0 is withdrawn \
             and 2.2.0-rc.1 is a pre-release that the requirement does not name, and the only other release is 1.0.0",
        ),
        (
            "root -> gone ^2",
            "`northshire.gov.uk/report-missed-bin` requires `x.example/gone`, but there is no brick of that name",
        ),
    ] {
        assert_eq!(explained(index), text);
    }
}

#[test]
fn a_conflict_is_told_as_a_chain() {
    assert_eq!(
        explained("root -> a ^1, c ^1.2\n a 1.0.0 -> c ~1.1\n a 1.1.0 -> c ~1.1\n c 1.1.0\n c 1.2.0"),
        "because `northshire.gov.uk/report-missed-bin` requires `x.example/a` ^1 (1.0.0 and 1.1.0)
and every 1.x release of `x.example/a` requires `x.example/c` ~1.1 (1.1.0)
and `northshire.gov.uk/report-missed-bin` requires `x.example/c` ^1.2 (1.2.0)
but only one 1.x release of `x.example/c` can be used at a time
so nothing fits the requirements of `northshire.gov.uk/report-missed-bin`"
    );
    assert_eq!(
        explained("root -> a ^1\n a 1.0.0 -> b ^1\n b 1.0.0 -> gone ^3"),
        "because `northshire.gov.uk/report-missed-bin` requires `x.example/a` ^1 (1.0.0)
and `x.example/a` 1.0.0 requires `x.example/b` ^1 (1.0.0)
and `x.example/b` 1.0.0 requires `x.example/gone`, but there is no brick of that name
so nothing fits the requirements of `northshire.gov.uk/report-missed-bin`"
    );
}

#[test]
fn a_conflict_says_which_fitting_release_is_yanked() {
    let text = explained("root -> a ^1, c ^1.2\n a 1.0.0 -> c <=1.3\n c 1.1.0\n c 1.3.0; yanked\n c 1.4.0");
    assert!(text.contains("1.3.0 is yanked"), "{text}");
}

#[test]
fn several_ways_that_all_fail_are_each_told() {
    let text = explained(
        "root -> a ^1, c ~1.0, d ~1.0
         a 1.0.0 -> c ~1.1
         a 1.1.0 -> d ~1.1
         c 1.0.0\n c 1.1.0\n d 1.0.0\n d 1.1.0",
    );
    for part in
        ["`x.example/a` 1.0.0 requires `x.example/c` ~1.1", "`x.example/a` 1.1.0 requires `x.example/d` ~1.1"]
    {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_long_proof_is_cut_to_its_ends() {
    let mut index = String::from("root -> b0 ^1\n");
    for at in 0..40 {
        index.push_str(&format!("b{at} 1.0.0 -> b{} ^1\n", at + 1));
    }
    let text = explained(&index);
    assert_eq!(text.lines().count(), MAX_EXPLANATION_LINES, "{text}");
    assert!(text.contains("… ("), "{text}");
    assert!(text.contains("`x.example/b40`, but there is no brick of that name"), "{text}");
}

// Fetching.

#[test]
fn a_closure_of_thirty_bricks_takes_a_handful_of_rounds() {
    let mut index = String::from("root -> b0 ^1, b1 ^1, b2 ^1\n");
    for at in 0..30 {
        for minor in 0..4 {
            let deps: Vec<_> = [at * 2 + 3, at * 2 + 4]
                .iter()
                .filter(|to| **to < 30)
                .map(|to| format!("b{to} ^1"))
                .collect();
            index.push_str(&format!("b{at} 1.{minor}.0 -> {}\n", deps.join(", ")));
        }
    }
    let (answer, rounds) = World::parse(&index).resolve_fetching();
    assert_eq!(answer.unwrap().bricks.len(), 30);
    assert!(rounds <= 5, "{rounds} rounds");
}

#[test]
fn going_back_asks_for_all_candidates_at_once() {
    let mut index = String::from("root -> c ~1.0, a ^1\n c 1.0.0\n c 1.1.0\n");
    for minor in 0..50 {
        index.push_str(&format!(
            "a 1.{minor}.0 -> b{minor} ^1\n b{minor} 1.0.0 -> c ~1.{}\n",
            u8::from(minor > 0)
        ));
    }
    let (answer, rounds) = World::parse(&index).resolve_fetching();
    assert_eq!(shown(&answer.unwrap()), "a 1.0.0, b0 1.0.0, c 1.0.0");
    assert!(rounds <= 5, "{rounds} rounds");
}

// Bounds.

#[test]
fn a_hostile_index_meets_a_bound() {
    // Pigeons and holes: eleven bricks want ten places, each in another line of its own; only trying tells.
    let mut index = String::from("root ->");
    for pigeon in 0..11 {
        index.push_str(&format!("{} pigeon{pigeon} ^1", if pigeon == 0 { "" } else { "," }));
    }
    for pigeon in 0..11 {
        for hole in 0..10 {
            index.push_str(&format!("\npigeon{pigeon} 1.{hole}.0 -> hole{hole} =1.{pigeon}.0"));
            index.push_str(&format!("\nhole{hole} 1.{pigeon}.0"));
        }
    }
    let world = World::parse(&index);
    let started = std::time::Instant::now();
    match world.resolve() {
        Err(Unresolved::TooHard { .. }) => {}
        Err(Unresolved::NoSolution(explanation)) => {
            assert!(explanation.to_string().lines().count() <= MAX_EXPLANATION_LINES)
        }
        other => panic!("{other:?}"),
    }
    println!("ended after {:?}", started.elapsed());
}

#[test]
fn more_releases_than_allowed_are_refused() {
    let mut world = World::parse("root -> a ^1\n a 1.0.0");
    let lines = (0..=4_096).map(|patch| {
        common::release(common::name("a"), common::version(&format!("1.0.{patch}")), Vec::new())
    });
    world.bricks.insert(common::name("a"), Some(lines.collect()));
    assert!(matches!(world.resolve(), Err(Unresolved::TooHard { what: "releases of one brick", .. })));
}

#[test]
fn a_proof_as_deep_as_the_index_is_told_without_overflowing_the_stack() {
    let mut index = String::from("root -> b0 ^1\n");
    for at in 0..4_000 {
        index.push_str(&format!("b{at} 1.0.0 -> b{} ^1\n", at + 1));
    }
    assert!(explained(&index).contains("there is no brick of that name"));
}
