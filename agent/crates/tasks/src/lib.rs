//! A queue of tasks that a crash does not lose.
