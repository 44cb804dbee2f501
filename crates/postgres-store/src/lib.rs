//! The signal store and the lease on PostgreSQL.
