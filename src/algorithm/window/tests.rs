//! Unit tests of the windows' arithmetic.
