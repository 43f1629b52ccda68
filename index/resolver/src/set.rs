//! Which of the releases on offer?

use std::cell::Cell;
use std::fmt;

use pubgrub::VersionSet;
use smallvec::SmallVec;

thread_local! {
    /// Set operations done on this thread since [`start_counting`].
    static OPERATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Starts the count of set operations anew. PubGrub's work between two decisions can only be measured in these: it
/// hands no context to its sets. The count depends on the problem alone, so a bound on it is the same everywhere.
pub(crate) fn start_counting() {
    OPERATIONS.set(0);
}

/// Set operations since [`start_counting`].
pub(crate) fn operation_count() -> u64 {
    OPERATIONS.get()
}

/// Counts one operation on sets of `words` words.
fn count_operation(words: usize) {
    OPERATIONS.set(OPERATIONS.get() + 1 + words as u64);
}

/// One of the versions a solver's package has: its place among them, lowest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub(crate) struct Place(pub(crate) u32);

impl Place {
    pub(crate) fn of(index: usize) -> Self {
        Self(u32::try_from(index).expect("a brick has at most MAX_RELEASES releases"))
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A set of places, one bit each: exact for any requirement, pre-releases included, where ranges would not be.
///
/// Canonical: the last word differs from what is `beyond`, so that equal sets are equal values.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub(crate) struct PlaceSet {
    words: SmallVec<[u64; 1]>,
    beyond: bool,
}

impl PlaceSet {
    /// The places for which `is_in` holds, among the first `count`.
    pub(crate) fn filter(count: usize, is_in: impl Fn(usize) -> bool) -> Self {
        let mut words: SmallVec<[u64; 1]> = SmallVec::from_elem(0, count.div_ceil(64));
        for index in (0..count).filter(|index| is_in(*index)) {
            words[index / 64] |= 1 << (index % 64);
        }
        Self::canonical(words, false)
    }

    /// The places in the set, ascending; of a set that has an end.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at * 64 + bit)
        })
    }

    /// How many places are in a set that has an end.
    pub(crate) fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty() && !self.beyond
    }

    /// Words of memory, for budgets.
    pub(crate) fn word_count(&self) -> usize {
        self.words.len()
    }

    fn word(&self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or(if self.beyond { !0 } else { 0 })
    }

    fn canonical(mut words: SmallVec<[u64; 1]>, beyond: bool) -> Self {
        let filler = if beyond { !0 } else { 0 };
        while words.last() == Some(&filler) {
            words.pop();
        }
        Self { words, beyond }
    }

    fn combine(&self, other: &Self, op: impl Fn(u64, u64) -> u64, beyond: bool) -> Self {
        let count = self.words.len().max(other.words.len());
        count_operation(count);
        Self::canonical((0..count).map(|at| op(self.word(at), other.word(at))).collect(), beyond)
    }
}

impl fmt::Display for PlaceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl VersionSet for PlaceSet {
    type V = Place;

    fn empty() -> Self {
        Self { words: SmallVec::new(), beyond: false }
    }

    fn full() -> Self {
        Self { words: SmallVec::new(), beyond: true }
    }

    fn singleton(place: Place) -> Self {
        let mut words: SmallVec<[u64; 1]> = SmallVec::from_elem(0, place.index() / 64 + 1);
        words[place.index() / 64] = 1 << (place.index() % 64);
        Self { words, beyond: false }
    }

    fn complement(&self) -> Self {
        count_operation(self.words.len());
        Self { words: self.words.iter().map(|word| !word).collect(), beyond: !self.beyond }
    }

    fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & b, self.beyond && other.beyond)
    }

    fn union(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a | b, self.beyond || other.beyond)
    }

    fn contains(&self, place: &Place) -> bool {
        self.word(place.index() / 64) >> (place.index() % 64) & 1 == 1
    }

    fn is_disjoint(&self, other: &Self) -> bool {
        let count = self.words.len().max(other.words.len());
        count_operation(count);
        !(self.beyond && other.beyond) && (0..count).all(|at| self.word(at) & other.word(at) == 0)
    }

    fn subset_of(&self, other: &Self) -> bool {
        let count = self.words.len().max(other.words.len());
        count_operation(count);
        (other.beyond || !self.beyond) && (0..count).all(|at| self.word(at) & !other.word(at) == 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sets() -> impl Strategy<Value = PlaceSet> {
        (prop::collection::btree_set(0usize..200, 0..12), any::<bool>()).prop_map(|(places, inverted)| {
            let set = PlaceSet::filter(200, |index| places.contains(&index));
            if inverted { set.complement() } else { set }
        })
    }

    proptest! {
        #[test]
        fn sets_obey_the_laws_of_sets(a in sets(), b in sets(), at in 0u32..260) {
            let place = Place(at);
            prop_assert_eq!(&a.complement().complement(), &a);
            prop_assert_eq!(a.complement().contains(&place), !a.contains(&place));
            prop_assert_eq!(a.union(&b), a.complement().intersection(&b.complement()).complement());
            prop_assert_eq!(a.intersection(&b).contains(&place), a.contains(&place) && b.contains(&place));
            prop_assert_eq!(a.is_disjoint(&b), a.intersection(&b) == PlaceSet::empty());
            prop_assert_eq!(a.subset_of(&b), a == a.intersection(&b));
            prop_assert_eq!(a.intersection(&a.complement()), PlaceSet::empty());
            prop_assert_eq!(a.union(&a.complement()), PlaceSet::full());
            prop_assert_eq!(PlaceSet::singleton(place).iter().collect::<Vec<_>>(), vec![at as usize]);
            prop_assert_eq!(PlaceSet::singleton(place).len(), 1);
        }
    }
}
