//! Find documents by their words and by likeness, without a model.
