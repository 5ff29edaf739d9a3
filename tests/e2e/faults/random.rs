//! Numbers that a seed decides, so that a run can be repeated.

/// SplitMix64.
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// From the seed in LXDEPLOY_SEED, or a new one; told, so that the run can be repeated.
    pub fn seeded(what: &str) -> (Random, u64) {
        let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = std::env::var("LXDEPLOY_SEED").ok().map_or_else(now, |seed| seed.parse().unwrap());
        println!("{what}: LXDEPLOY_SEED={seed}");
        (Random(seed), seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// So many rounds as the variable says, or the default.
pub fn rounds(default: usize) -> usize {
    std::env::var("LXDEPLOY_SOAK").ok().map_or(default, |rounds| rounds.parse().unwrap())
}
