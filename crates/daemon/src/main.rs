//! The daemon that runs beside the trading engine.

fn main() {}
