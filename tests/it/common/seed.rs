//! The seed of random tests. The unit tests use it too.

/// `SEED` from the environment, or a new one. It is printed, and the harness shows the output of a test that fails.
pub fn seed() -> u64 {
    let seed = match std::env::var("SEED") {
        Ok(seed) => seed.parse().unwrap_or_else(|_| panic!("SEED={seed}: a whole number is expected")),
        Err(_) => u64::from(fastrand::u32(..)),
    };
    println!("SEED={seed} makes the same choices again");
    seed
}
