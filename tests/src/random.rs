//! Where do bytes come from that nobody can compress, the same in every run?

/// `SplitMix64`: a stream of numbers from a seed.
pub struct Random(u64);

impl Random {
    /// A stream that is another one in each run, and its seed.
    pub fn new() -> (Self, u64) {
        use std::hash::{BuildHasher as _, Hasher as _};
        let seed = std::hash::RandomState::new().build_hasher().finish();
        (Self::of(seed), seed)
    }

    /// The stream of `seed`.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, any.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number below `bound`, which is not 0; near enough to even for choosing.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..count.div_ceil(8)).flat_map(|_| self.number().to_le_bytes()).collect();
        bytes.truncate(count);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_bytes_and_another_others() {
        assert_eq!(Random::of(7).bytes(33), Random::of(7).bytes(33));
        assert_ne!(Random::of(7).bytes(33), Random::of(8).bytes(33));
        assert_eq!(Random::of(7).bytes(33).len(), 33);
    }
}
