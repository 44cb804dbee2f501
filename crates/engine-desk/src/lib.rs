//! Orders handed over a desk to an engine in another language, instead of pushed to a broker.
