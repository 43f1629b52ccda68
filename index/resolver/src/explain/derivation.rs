//! In which order is the solver's proof told?

use std::collections::HashMap;
use std::sync::Arc;

use pubgrub::{DerivationTree, External};

use crate::encoding::{Encoding, Key, Package, Refusal};
use crate::set::PlaceSet;

/// The solver's proof.
pub(crate) type Tree = DerivationTree<Package, PlaceSet, Refusal>;

/// A derivation as a list, causes before what they cause.
pub(super) enum Node {
    Fact(External<Package, PlaceSet, Refusal>),
    Step { terms: Vec<(Package, pubgrub::Term<PlaceSet>)>, causes: [usize; 2], uses: usize },
}

/// Lists the derivation in the order of telling. Without recursion: it may be as deep as the solver took steps.
pub(super) fn flatten(encoding: &Encoding, tree: &Tree) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut places: HashMap<*const Tree, usize> = HashMap::new();
    let mut waiting: Vec<(&Tree, bool)> = vec![(tree, false)];
    while let Some((tree, causes_are_listed)) = waiting.pop() {
        if places.contains_key(&std::ptr::from_ref(tree)) {
            continue;
        }
        let node = match tree {
            DerivationTree::External(fact) => Node::Fact(fact.clone()),
            DerivationTree::Derived(step) => {
                let causes: [&Tree; 2] = [&step.cause1, &step.cause2];
                if !causes_are_listed {
                    let [first, second] =
                        if telling_rank(encoding, causes[1]) < telling_rank(encoding, causes[0]) {
                            [causes[1], causes[0]]
                        } else {
                            causes
                        };
                    waiting.extend([(tree, true), (second, false), (first, false)]);
                    continue;
                }
                let causes = causes.map(|cause| places[&std::ptr::from_ref(cause)]);
                for cause in causes {
                    if let Node::Step { uses, .. } = &mut nodes[cause] {
                        *uses += 1;
                    }
                }
                let mut terms: Vec<_> =
                    step.terms.iter().map(|(package, term)| (*package, term.clone())).collect();
                terms.sort_by_key(|(package, _)| *package);
                Node::Step { terms, causes, uses: 0 }
            }
        };
        places.insert(std::ptr::from_ref(tree), nodes.len());
        nodes.push(node);
    }
    nodes
}

/// What is told first of two causes: what was derived, then what the root requires, then the rest.
fn telling_rank(encoding: &Encoding, tree: &Tree) -> u8 {
    match tree {
        DerivationTree::Derived(_) => 0,
        DerivationTree::External(External::FromDependencyOf(by, ..)) if encoding.key(*by) == Key::Root => 1,
        DerivationTree::External(_) => 2,
    }
}

/// Drops a derivation without recursion, which the ordinary drop would do as deep as it is.
pub(super) fn dismantle(tree: Tree) {
    let mut waiting = vec![tree];
    while let Some(tree) = waiting.pop() {
        if let DerivationTree::Derived(step) = tree {
            waiting.extend(Arc::into_inner(step.cause1));
            waiting.extend(Arc::into_inner(step.cause2));
        }
    }
}
