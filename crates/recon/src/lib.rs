//! Reconciliation: the matching engine, the service and its store.
