//! Why does nothing fit? From the solver's derivation to a chain of reasons.

mod derivation;
mod reason;
mod teller;

use std::collections::{BTreeMap, BTreeSet};

use brick_schemas::{FullName, Requirement};
use pubgrub::VersionSet;

use crate::encoding::Encoding;
use crate::offers::LineId;
use crate::set::PlaceSet;

use derivation::{Node, Tree, dismantle, flatten};
pub use reason::{Explanation, LeftOut, MAX_NAMED, Reason, Who, Why};
use teller::Teller;

/// Reasons kept of a longer proof, at most; the text shows fewer still.
const MAX_REASONS: usize = 256;

/// Facts that are told without conclusions between them, at most.
const FLAT_FACTS: usize = 8;

/// Turns the solver's proof into reasons.
pub(crate) fn explain(encoding: &Encoding, tree: Tree) -> Explanation {
    let nodes = flatten(encoding, &tree);
    dismantle(tree);
    let joined: BTreeSet<usize> = nodes
        .iter()
        .filter_map(|node| match node {
            Node::Step { causes: [a, b], .. } => Some([*a, *b]),
            Node::Fact(_) => None,
        })
        .filter(|causes| causes.iter().all(|cause| matches!(nodes[*cause], Node::Step { .. })))
        .flatten()
        .collect();
    let teller = Teller { encoding };
    let mut told: Vec<Told> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let more = match node {
            Node::Fact(fact) => teller.fact(fact),
            Node::Step { .. } if at + 1 == nodes.len() => None,
            Node::Step { terms, uses, .. } => {
                teller.conclusion(terms, *uses > 1 || joined.contains(&at)).map(Told::plain)
            }
        };
        let Some(more) = more else { continue };
        if told.len() >= MAX_REASONS || told.iter().any(|told| told.reason == more.reason) {
            continue;
        }
        // A conclusion right after another says at least as much.
        if more.is_conclusion() && told.last().is_some_and(Told::is_conclusion) {
            told.pop();
        }
        told.push(more);
    }
    if joined.is_empty() || told.iter().filter(|told| !told.is_conclusion()).count() <= FLAT_FACTS {
        told = from_the_root(told);
    }
    let contended = contended_lines(&told);
    let mut reasons: Vec<Reason> = told.into_iter().map(|told| teller.finish(told, &contended)).collect();
    for line in contended.keys() {
        let offer = encoding.offers.offer(line.brick);
        reasons
            .push(Reason::OneOfLine { brick: offer.name.clone(), line: offer.lines[line.line.index()].line });
    }
    reasons.push(Reason::So { together: Vec::new(), needs: Vec::new() });
    Explanation { root: encoding.problem.root.to_owned(), reasons }
}

/// A reason, and which releases of which line it is about.
struct Told {
    reason: Reason,
    about: Option<(LineId, PlaceSet)>,
}

impl Told {
    fn plain(reason: Reason) -> Self {
        Self { reason, about: None }
    }

    fn is_conclusion(&self) -> bool {
        matches!(self.reason, Reason::So { .. })
    }

    /// Who requires something of whom; `None` for the root, and for what is no requirement.
    fn ends(&self) -> (Option<&FullName>, Option<&FullName>) {
        match &self.reason {
            Reason::Requires { by, brick, .. }
            | Reason::Unmet { by, brick, .. }
            | Reason::Unknown { by, brick } => (by.brick(), Some(brick)),
            Reason::Broken { by, .. } => (by.brick(), None),
            Reason::OneOfLine { .. } | Reason::So { .. } => (None, None),
        }
    }
}

/// The facts alone, each requirement followed by what the required brick requires in turn, from the root down.
///
/// A proof without branches reads best this way: people follow what requires what, not how the solver went.
fn from_the_root(told: Vec<Told>) -> Vec<Told> {
    let mut facts: Vec<Option<Told>> =
        told.into_iter().filter(|told| !told.is_conclusion()).map(Some).collect();
    let by = |facts: &[Option<Told>], who: Option<&FullName>| -> Vec<usize> {
        let is_by = |fact: &Option<Told>| fact.as_ref().is_some_and(|fact| fact.ends().0 == who);
        (0..facts.len()).rev().filter(|at| is_by(&facts[*at])).collect()
    };
    let mut ordered: Vec<Told> = Vec::new();
    let mut waiting = by(&facts, None);
    while let Some(at) = waiting.pop() {
        let Some(fact) = facts[at].take() else { continue };
        if let Some(brick) = fact.ends().1 {
            waiting.extend(by(&facts, Some(brick)));
        }
        ordered.push(fact);
    }
    ordered.extend(facts.into_iter().flatten());
    ordered
}

/// The lines of which different releases are required, with the requirements of all who do.
fn contended_lines(told: &[Told]) -> BTreeMap<LineId, Vec<Vec<Requirement>>> {
    let mut contended = BTreeMap::new();
    for (at, (line, set)) in told.iter().enumerate().filter_map(|(at, told)| Some((at, told.about.as_ref()?)))
    {
        let others =
            told[..at].iter().filter_map(|told| told.about.as_ref()).filter(|(other, _)| other == line);
        let mut common = set.clone();
        for (_, other) in others {
            common = common.intersection(other);
            if common.is_empty() || set.is_disjoint(other) {
                contended.insert(*line, Vec::new());
            }
        }
    }
    for Told { reason, about } in told {
        if let (Reason::Requires { requirements, .. }, Some((line, _))) = (reason, about)
            && let Some(all) = contended.get_mut(line)
        {
            all.push(requirements.clone());
        }
    }
    contended
}
