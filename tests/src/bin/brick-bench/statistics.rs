//! What do a few measurements say together?

/// The middle of `values`, between the two middle ones where their number is even; nothing without any.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let sorted = sorted(values);
    let (low, high) = (sorted.get(sorted.len().saturating_sub(1) / 2)?, sorted.get(sorted.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

/// The value that `share` (0 to 1) of `values` do not exceed, by the nearest rank; nothing without any.
pub fn quantile(values: impl IntoIterator<Item = f64>, share: f64) -> Option<f64> {
    let sorted = sorted(values);
    let rank = (share.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The smallest and the largest of `values`; nothing without any.
pub fn spread(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let sorted = sorted(values);
    Some((*sorted.first()?, *sorted.last()?))
}

fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_does_not_depend_on_the_order() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median([7.0]), Some(7.0));
        assert_eq!(median([]), None);
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let hundred = || (1..=100).map(f64::from);
        assert_eq!(quantile(hundred(), 0.99), Some(99.0));
        assert_eq!(quantile(hundred(), 0.5), Some(50.0));
        assert_eq!(quantile(hundred(), 0.0), Some(1.0));
        assert_eq!(quantile(hundred(), 1.0), Some(100.0));
        assert_eq!(quantile([5.0, 6.0], 0.99), Some(6.0));
        assert_eq!(quantile([], 0.5), None);
    }

    #[test]
    fn the_spread_is_from_the_smallest_to_the_largest() {
        assert_eq!(spread([2.0, -1.0, 5.0]), Some((-1.0, 5.0)));
        assert_eq!(spread([]), None);
    }
}
