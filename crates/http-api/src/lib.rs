//! The HTTP API of one node: signals in, state out, operators' words.
