//! Embeddings by a sentence model in an ONNX file.
