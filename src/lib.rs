//! oncegate lets each trading signal through to the broker once. The parts live in `crates/` and `sim/`; this package owns the tests and benches of the whole.
