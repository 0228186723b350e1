//! The model itself: text to tokens, tokens to vectors, vectors to one.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rten::{Dimension, ModelOptions, NodeId, RunOptions, ThreadPool, Value, op_registry};
use rten_tensor::prelude::*;
use rten_text::Tokenizer;
use rten_text::tokenizer::EncodeOptions;
use search::{DIMENSIONS, Embedding, ModelId};

use crate::Error;
use crate::files::{self, Files};
use crate::onnx;

/// The most tokens of a text that count, those at the ends included; all-MiniLM-L6-v2 was made for 256.
const MOST_TOKENS: usize = 256;

/// The most bytes of a text that are looked at: more than so many tokens can have.
const MOST_BYTES: usize = 64 * MOST_TOKENS;

/// What the model is given.
#[derive(Debug, Clone, Copy)]
enum Input {
    Tokens,
    Mask,
    Types,
}

/// What makes vectors of tokens.
struct Network {
    model: rten::Model,
    inputs: Vec<(NodeId, Input)>,
    output: NodeId,
}

/// A sentence model that is ready.
pub(crate) struct Sentence {
    id: ModelId,
    tokenizer: Tokenizer,
    network: Network,
    /// One thread each: texts go side by side, and each gives the same vector whatever their number.
    pools: Vec<Arc<ThreadPool>>,
}

impl Sentence {
    /// Makes a model of the content of its files, and tries it.
    pub(crate) fn new(
        files: &Files,
        model: Vec<u8>,
        tokenizer: &[u8],
        threads: usize,
    ) -> Result<Self, Error> {
        let id = files::id_of(&model, tokenizer);
        let bad_tokenizer = |why: String| Error::Tokenizer {
            path: files.tokenizer.clone(),
            why,
        };
        let text =
            std::str::from_utf8(tokenizer).map_err(|error| bad_tokenizer(error.to_string()))?;
        let tokenizer =
            Tokenizer::from_json(text).map_err(|error| bad_tokenizer(error.to_string()))?;
        if let Some(why) = onnx::fault(&model) {
            let path = files.model.clone();
            return Err(Error::Model { path, why });
        }
        let model = options().load(model).map_err(|error| Error::Model {
            path: files.model.clone(),
            why: error.to_string(),
        })?;
        let (inputs, output) = ends(&model).map_err(|why| Error::Model {
            path: files.model.clone(),
            why,
        })?;
        let sentence = Self {
            id,
            tokenizer,
            network: Network {
                model,
                inputs,
                output,
            },
            pools: (0..threads.max(1))
                .map(|_| Arc::new(ThreadPool::with_num_threads(1)))
                .collect(),
        };
        sentence.attempt(&files.model)?;
        Ok(sentence)
    }

    /// The name of the model.
    pub(crate) fn id(&self) -> &ModelId {
        &self.id
    }

    /// How many texts go side by side.
    pub(crate) fn threads(&self) -> usize {
        self.pools.len()
    }

    /// One vector for each text.
    pub(crate) fn embed(&self, texts: &[String]) -> Result<Vec<Embedding>, String> {
        let tokens = texts.iter().map(|text| self.tokens(text));
        let texts = tokens.collect::<Result<Vec<_>, _>>()?;
        if let [text] = texts.as_slice() {
            return Ok(vec![self.network.embed(text, &self.pools[0])?]);
        }
        let network = &self.network;
        let share = texts.len().div_ceil(self.pools.len()).max(1);
        std::thread::scope(|scope| {
            let shares = texts.chunks(share).zip(&self.pools);
            let work = |(texts, pool): (&'_ [Vec<i32>], _)| {
                let vectors = texts.iter().map(|text| network.embed(text, pool));
                vectors.collect::<Result<Vec<_>, _>>()
            };
            let running: Vec<_> = shares
                .map(|share| scope.spawn(move || work(share)))
                .collect();
            let mut all = Vec::with_capacity(texts.len());
            for thread in running {
                let done = thread.join().map_err(|_| "the model panicked".to_owned())?;
                all.extend(done?);
            }
            Ok(all)
        })
    }

    /// Does with words that every tokenizer knows what it will be used for.
    fn attempt(&self, path: &Path) -> Result<(), Error> {
        let tried = self.tokens("restart the web server");
        let why = match tried.and_then(|tokens| self.network.embed(&tokens, &self.pools[0])) {
            Ok(vector) if vector.as_slice().iter().any(|number| *number != 0.0) => return Ok(()),
            Ok(_) => "it gives no vector for a plain sentence".to_owned(),
            Err(why) => why,
        };
        Err(Error::Model {
            path: path.to_owned(),
            why,
        })
    }

    /// The tokens of a text, as many as count.
    fn tokens(&self, text: &str) -> Result<Vec<i32>, String> {
        let mut text = clean(crate::cut(text, MOST_BYTES));
        // The tokenizer counts the two signs before each piece of a word as if they were in the text, and panics where that
        // leads beyond its end. Blanks make room and are no tokens.
        let room = 4 * text.len();
        text.extend(std::iter::repeat_n(' ', room));
        let options = EncodeOptions {
            max_chunk_len: Some(MOST_TOKENS),
            ..EncodeOptions::default()
        };
        let encoded = self.tokenizer.encode(text.as_str(), Some(options));
        let encoded = encoded.map_err(|error| error.to_string())?;
        let ids = encoded.into_token_ids().into_iter();
        Ok(ids
            .map(|id| i32::try_from(id).unwrap_or_default())
            .collect())
    }
}

impl Network {
    /// The vector of a text's tokens.
    fn embed(&self, tokens: &[i32], pool: &Arc<ThreadPool>) -> Result<Embedding, String> {
        let length = tokens.len();
        let inputs = self.inputs.iter().map(|(node, input)| {
            let numbers = match input {
                Input::Tokens => tokens.to_vec(),
                Input::Mask => vec![1; length],
                Input::Types => vec![0; length],
            };
            let value =
                Value::from_shape([1, length], numbers).map_err(|error| error.to_string())?;
            Ok((*node, value.into()))
        });
        let inputs = inputs.collect::<Result<Vec<_>, String>>()?;
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(pool)));
        let outputs = self.model.run(inputs, &[self.output], Some(options));
        let outputs = outputs.map_err(|error| error.to_string())?;
        match outputs.into_iter().next() {
            Some(Value::FloatTensor(tensor)) => {
                let shape = tensor.shape().to_vec();
                vector(&shape, &tensor.to_vec(), length)
            }
            _ => Err("its output is no tensor of f32".to_owned()),
        }
    }
}

/// A text as BERT's normalizer has it before it lowers case: no characters that are not seen, and each ideograph a word.
fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' | '\n' | '\r' => clean.push(' '),
            '\u{fffd}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => {}
            '\u{2060}'..='\u{2064}' | '\u{feff}' => {}
            control if control.is_control() => {}
            '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{2a6df}'
            | '\u{2a700}'..='\u{2ceaf}'
            | '\u{2f800}'..='\u{2fa1f}' => clean.extend([' ', character, ' ']),
            other => clean.push(other),
        }
    }
    clean
}

/// What sentence models of the BERT family are made of; less of the runtime is linked than for all there is.
fn options() -> ModelOptions {
    ModelOptions::with_ops(op_registry!(
        Abs,
        Add,
        And,
        Cast,
        Clip,
        Concat,
        ConstantOfShape,
        Div,
        DequantizeLinear,
        DynamicQuantizeLinear,
        Equal,
        Erf,
        Expand,
        Gather,
        GatherND,
        Gelu,
        Gemm,
        Greater,
        GreaterOrEqual,
        Identity,
        IsNaN,
        LayerNormalization,
        Less,
        MatMul,
        MatMulInteger,
        Max,
        Min,
        Mul,
        Neg,
        Not,
        Or,
        Pow,
        Range,
        ReduceMean,
        ReduceSum,
        Reshape,
        Shape,
        Slice,
        Softmax,
        Split,
        Sqrt,
        Squeeze,
        Sub,
        Tanh,
        Transpose,
        Unsqueeze,
        Where
    ))
}

/// The nodes that are given, and the one that is taken.
fn ends(model: &rten::Model) -> Result<(Vec<(NodeId, Input)>, NodeId), String> {
    let name = |id: NodeId| {
        let info = model.node_info(id);
        info.and_then(|info| info.name().map(str::to_owned))
            .unwrap_or_default()
    };
    let inputs = model.input_ids().iter().map(|id| {
        let input = match name(*id).as_str() {
            "input_ids" => Input::Tokens,
            "attention_mask" => Input::Mask,
            "token_type_ids" => Input::Types,
            other => {
                return Err(format!(
                    "it asks for `{other}`, which a sentence model does not"
                ));
            }
        };
        Ok((*id, input))
    });
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    if !inputs
        .iter()
        .any(|(_, input)| matches!(input, Input::Tokens))
    {
        return Err("it does not ask for `input_ids`".to_owned());
    }
    let outputs = model.output_ids().iter();
    let pooled = outputs
        .clone()
        .find(|id| name(**id) == "sentence_embedding");
    let output = pooled.or_else(|| outputs.clone().next());
    let output = *output.ok_or_else(|| "it gives nothing".to_owned())?;
    let shape = model.node_info(output).and_then(|info| info.shape());
    if let Some([.., Dimension::Fixed(size)]) = shape.as_deref()
        && *size != DIMENSIONS
    {
        return Err(format!(
            "its vectors have {size} numbers, and {DIMENSIONS} are needed"
        ));
    }
    Ok((inputs, output))
}

/// One vector of a text's output: the mean over its tokens, unless the model did that itself.
fn vector(shape: &[usize], numbers: &[f32], tokens: usize) -> Result<Embedding, String> {
    let rows: Range<usize> = match *shape {
        [1, DIMENSIONS] => 0..1,
        [1, rows, DIMENSIONS] if rows == tokens => 0..rows,
        _ => {
            return Err(format!(
                "its output for {tokens} tokens has the shape {shape:?}, and 1 × {tokens} × {DIMENSIONS} is needed"
            ));
        }
    };
    let mut sum = [0.0; DIMENSIONS];
    for row in rows {
        let row = &numbers[row * DIMENSIONS..(row + 1) * DIMENSIONS];
        sum.iter_mut()
            .zip(row)
            .for_each(|(sum, number)| *sum += number);
    }
    match sum.iter().all(|number| number.is_finite()) {
        true => Ok(Embedding::new(sum)),
        false => Err("its output is not finite".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The model that `scripts/model.sh` gets, where `OP_DBUS_MODEL` says that it is.
    fn minilm(threads: usize) -> Option<Sentence> {
        let Some(directory) = std::env::var_os("OP_DBUS_MODEL") else {
            lab::skip(
                "OP_DBUS_MODEL names no directory with a model: scripts/model.sh DIR gets one",
            );
            return None;
        };
        let files = Files::at(Path::new(&directory));
        let (model, tokenizer) = files.read().unwrap();
        Some(Sentence::new(&files, model, &tokenizer, threads).unwrap())
    }

    /// What the tokenizer's own library (0.22) and ONNX Runtime (1.23) make of texts.
    fn expected() -> Vec<Value> {
        serde_json::from_str(include_str!("../tests/minilm.json")).unwrap()
    }

    #[test]
    fn tokens_and_vectors_are_those_of_the_reference() {
        let Some(sentence) = minilm(1) else { return };
        let mut wrong = Vec::new();
        for expected in expected() {
            let text = expected["text"].as_str().unwrap();
            let tokens = sentence.tokens(text).unwrap();
            if serde_json::json!(tokens) != expected["tokens"] {
                wrong.push(format!("{text:?}: {tokens:?} for {}", expected["tokens"]));
                continue;
            }
            let vector = &sentence.embed(&[text.to_owned()]).unwrap()[0];
            for (number, expected) in vector
                .as_slice()
                .iter()
                .zip(expected["vector"].as_array().unwrap())
            {
                let far = f64::from(*number) - expected.as_f64().unwrap();
                assert!(far.abs() < 2e-3, "{text:?}: {number} for {expected}");
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_vector_does_not_depend_on_what_else_is_asked() {
        let Some(sentence) = minilm(2) else { return };
        let texts: Vec<String> = (0..7)
            .map(|number| format!("start unit {number}"))
            .collect();
        let together = sentence.embed(&texts).unwrap();
        for (text, vector) in texts.iter().zip(&together) {
            assert_eq!(
                sentence.embed(std::slice::from_ref(text)).unwrap()[0],
                *vector
            );
        }
        assert_eq!(sentence.embed(&[]).unwrap(), []);
    }

    #[test]
    fn meaning_is_near_where_words_are_not() {
        let Some(sentence) = minilm(2) else { return };
        let texts = [
            "boot up the machine",
            "the computer was started",
            "bananas are yellow",
        ];
        let vectors = sentence.embed(&texts.map(str::to_owned)).unwrap();
        assert!(vectors[0].likeness(&vectors[1]) > vectors[0].likeness(&vectors[2]) + 0.2);
    }

    #[test]
    fn a_long_text_is_cut() {
        let Some(sentence) = minilm(1) else { return };
        let tokens = sentence.tokens(&"word ".repeat(100_000)).unwrap();
        assert_eq!(tokens.len(), MOST_TOKENS);
        assert_eq!(tokens.last(), Some(&102), "[SEP]");
    }

    #[test]
    fn files_that_are_no_model_are_errors() {
        let files = Files::at(Path::new("/model"));
        let tokenizer = br#"{"version":"1.0","model":{"type":"WordPiece","vocab":{"[UNK]":0,"[CLS]":1,"[SEP]":2}}}"#;
        for model in [&b""[..], b"\0", b"\x7fELF", &[0xff; 4096], br#"{"a":1}"#] {
            let error = Sentence::new(&files, model.to_vec(), tokenizer, 1)
                .err()
                .unwrap();
            assert!(matches!(error, Error::Model { .. }), "{error}");
        }
        for tokenizer in [&b""[..], b"{}", b"\xff", br#"{"model":{"type":"Other"}}"#] {
            let error = Sentence::new(&files, Vec::new(), tokenizer, 1)
                .err()
                .unwrap();
            assert!(matches!(error, Error::Tokenizer { .. }), "{error}");
        }
    }
}
