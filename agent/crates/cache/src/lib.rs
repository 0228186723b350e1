//! A bounded cache in memory and on disk, in front of where things come from.
