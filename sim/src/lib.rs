//! The harness: the production coordinator in a simulated world, judged from outside.
//!
//! Reading order: [`scenario`] is a run as data, [`world`] the time, network and clocks it happens in,
//! [`hosts`] who lives there ([`redis`] and [`postgres`] are the simulated servers), [`nemesis`] what goes wrong, [`oracles`] who
//! judges, [`mutants`] the bugs that must be caught, [`runner`] one run and many, [`report`] what people read.

pub mod hosts;
pub mod mutants;
pub mod nemesis;
pub mod oracles;
pub mod postgres;
pub mod redis;
pub mod report;
pub mod runner;
pub mod scenario;
pub mod world;
