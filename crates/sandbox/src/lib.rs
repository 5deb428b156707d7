//! A stand-in for Stripe and for the payment gateway: deterministic days with known differences, and faults on demand.
