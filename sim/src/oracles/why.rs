//! What each oracle is there for: the reason to keep one to which, in a hunt for planted bugs, another always
//! objects too.

/// The reason, in one sentence.
pub fn why(oracle: &str) -> &'static str {
    match oracle {
        "at-most-once" => "P1 itself, read from the broker's book: it holds whatever any other oracle overlooks.",
        "handled" => "P2 and P3 themselves: an oracle of safety is content with a system that does nothing.",
        "fenced-claims" => "P4 at the commit: it objects before chance and a broker have made a second order of it.",
        "epochs" => "What fencing rests on: without it a reset epoch shows only when two leaders share a number.",
        "store-agrees" => "P5 itself, for those signals of which the store and the broker tell two stories.",
        "gate-lease" => "It objects to a gate that is open too long when no signal happens to come by.",
        "sends" => "Nobody else reads the deadline that an order bears.",
        "leader-acts" => "It needs neither an order nor an honest Redis, which gate-lease does.",
        "truth" => "It knows what a process has heard, which is more than the book and the store at the end.",
        "failover" => "It is the only one that objects to leadership which nobody takes while nobody sends a signal.",
        "split-brain" => "Two names for one leader harm nobody until something else goes wrong: only this one looks.",
        "alerts" => "Nobody else reads what operators are told.",
        "handover" => "It objects to a departure out of order when no successor happens to be hurt by it.",
        "lease-owner" => {
            "It reads every command that Redis carries out, and objects before anybody has trusted the result."
        }
        "lease-trust" => "It objects to a trust that is too long by a millisecond, with no order and no rival near.",
        "heeds" => "It knows what each process was told, and so sees defiance that another guard makes harmless.",
        "claims" => "It objects to a second claim at its commit, before chance and a broker have made an order of it.",
        "outcomes" => "It demands that what was heard is written in time; truth asks only at the end of the run.",
        "expectations" => "It convicts no system: it keeps a recorded story from passing without having happened.",
        "processes" => "A process that ends by its own hand is seen at once, and not only by what it leaves undone.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracles::ORACLES;

    #[test]
    fn every_oracle_says_what_it_is_there_for() {
        for oracle in ORACLES {
            assert!(why(oracle).ends_with('.'), "{oracle} does not say why it exists");
        }
    }
}
