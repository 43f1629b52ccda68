//! What was meant? Names that look alike.

/// Names that [`near`] returns, at most.
pub const MAX_NEAR: usize = 3;
/// Characters of a name that are compared, at most: the distance costs their product.
const MAX_COMPARED_CHARS: usize = 200;

/// The names nearest to `name` by edit distance (a swap of neighbours counts once), best first, at most [`MAX_NEAR`].
///
/// Only those within a third of the name's length are near; ties stand in alphabetical order.
pub fn near<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Vec<&'c str> {
    let length = name.chars().take(MAX_COMPARED_CHARS + 1).count();
    if length > MAX_COMPARED_CHARS {
        return Vec::new();
    }
    let allowed = length.div_ceil(3).max(1);
    let mut found: Vec<(usize, &str)> = Vec::new();
    for candidate in candidates {
        let theirs = candidate.chars().take(MAX_COMPARED_CHARS + 1).count();
        if candidate == name || theirs > MAX_COMPARED_CHARS || theirs.abs_diff(length) > allowed {
            continue;
        }
        let distance = strsim::osa_distance(name, candidate);
        if distance <= allowed {
            found.push((distance, candidate));
            found.sort();
            found.dedup();
            found.truncate(MAX_NEAR);
        }
    }
    found.into_iter().map(|(_, candidate)| candidate).collect()
}

/// Whether two names are easily taken for each other: they differ only by `-`, or by one edit (design §3).
pub fn differs_by_a_hair(a: &str, b: &str) -> bool {
    let without_hyphens = |s: &str| s.chars().filter(|c| *c != '-').collect::<String>();
    a != b
        && a.len().max(b.len()) <= MAX_COMPARED_CHARS
        && (without_hyphens(a) == without_hyphens(b) || strsim::osa_distance(a, b) == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_come_first() {
        let names = ["summary", "title", "licence", "license", "version", "versions"];
        assert_eq!(near("licens", names), ["license", "licence"]);
        assert_eq!(near("vresion", names), ["version", "versions"]);
        assert_eq!(near("xyz", names), Vec::<&str>::new());
        assert_eq!(near("title", names), Vec::<&str>::new(), "itself is not near");
        assert_eq!(near("aa", ["ab", "ac", "ad", "ae"]), ["ab", "ac", "ad"]);
        assert_eq!(near(&"a".repeat(10_000), names), Vec::<&str>::new());
    }

    #[test]
    fn a_hair_is_a_hyphen_or_one_edit() {
        for (a, b) in [
            ("case-handling", "casehandling"),
            ("pay", "pays"),
            ("pay", "pray"),
            ("pay", "pya"),
            ("a-b-c", "abc"),
        ] {
            assert!(differs_by_a_hair(a, b) && differs_by_a_hair(b, a), "{a} {b}");
        }
        for (a, b) in [("pay", "pay"), ("pay", "payees"), ("case", "handling")] {
            assert!(!differs_by_a_hair(a, b), "{a} {b}");
        }
    }
}
