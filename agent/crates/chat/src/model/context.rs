//! The conversation as the model gets it, within what fits into it.

use llm::{Message, ToolCall};

use super::data::{Mark, cut};
use crate::thinker::Past;

/// How much of the past is looked at.
const PAST: usize = 40;
/// Bytes of one text of the past.
const TEXT: usize = 4000;
/// Bytes of one result of the past.
const OLD_RESULT: usize = 1500;
/// Bytes that are left of a result that has to make room.
const STUB: usize = 200;
/// Bytes that count as a token; rather too few than too many for English and JSON.
const BYTES: usize = 3;
/// Tokens that a message costs beside its text.
const FRAME: usize = 8;

/// The messages of one question: what the model is told first, the past, the question, then the steps.
pub(super) struct Context {
    messages: Vec<Message>,
    /// Where the question stands.
    question: usize,
}

impl Context {
    pub(super) fn new(prompt: String, past: Vec<Past>, question: &str, mark: &Mark) -> Self {
        let mut messages = vec![Message::System(prompt)];
        let left_out = past.len().saturating_sub(PAST);
        for (number, past) in past.into_iter().skip(left_out).enumerate() {
            match past {
                Past::User(text) => messages.push(Message::User(cut(&text, TEXT))),
                Past::Assistant(text) => messages.push(Message::Assistant {
                    text: cut(&text, TEXT),
                    calls: Vec::new(),
                }),
                Past::Call {
                    tool,
                    arguments,
                    outcome,
                } => {
                    let id = format!("past{number:05}");
                    let call = ToolCall {
                        id: id.clone(),
                        name: tool,
                        arguments: arguments.to_string(),
                    };
                    let content = mark.outcome(&outcome, OLD_RESULT);
                    messages.push(Message::Assistant {
                        text: String::new(),
                        calls: vec![call],
                    });
                    messages.push(Message::Tool { id, content });
                }
            }
        }
        messages.push(Message::user(question));
        Self {
            question: messages.len() - 1,
            messages,
        }
    }

    /// Adds what the model said and called.
    pub(super) fn said(&mut self, text: String, calls: Vec<ToolCall>) {
        self.messages.push(Message::Assistant { text, calls });
    }

    /// Adds what came of a call.
    pub(super) fn result(&mut self, id: String, content: String) {
        self.messages.push(Message::Tool { id, content });
    }

    /// The messages within so many tokens. Old results are cut first, then the past is forgotten, then what is new
    /// is cut too; nothing if even the question is too long.
    pub(super) fn within(&mut self, tokens: usize) -> Option<&[Message]> {
        let newest = self.newest();
        for place in 0..newest {
            if self.cost() <= tokens {
                break;
            }
            shorten(&mut self.messages[place], STUB);
        }
        while self.cost() > tokens && self.question > 1 {
            self.forget_oldest();
        }
        let mut most = 8 * STUB;
        while self.cost() > tokens && most >= STUB {
            let newest = self.newest();
            for message in &mut self.messages[newest..] {
                shorten(message, most);
            }
            most /= 2;
        }
        (self.cost() <= tokens).then_some(&self.messages)
    }

    /// Roughly how many tokens it is.
    pub(super) fn cost(&self) -> usize {
        self.messages.iter().map(cost).sum()
    }

    /// Where the results of the last step begin.
    fn newest(&self) -> usize {
        let said = |message: &Message| matches!(message, Message::Assistant { .. });
        let last = self.messages[self.question..].iter().rposition(said);
        self.question + last.unwrap_or(0)
    }

    /// Forgets the oldest message of the past, with its results if it called tools.
    fn forget_oldest(&mut self) {
        self.messages.remove(1);
        self.question -= 1;
        while self.question > 1 && matches!(self.messages[1], Message::Tool { .. }) {
            self.messages.remove(1);
            self.question -= 1;
        }
    }
}

fn shorten(message: &mut Message, most: usize) {
    if let Message::Tool { content, .. } = message
        && content.len() > most + STUB
    {
        // The mark at the end stays: what follows would else look like data.
        let (data, end) = content.rsplit_once('\n').unwrap_or((content, ""));
        *content = format!("{}\n{end}", cut(data, most));
    }
}

fn cost(message: &Message) -> usize {
    let bytes = match message {
        Message::System(text) | Message::User(text) => text.len(),
        Message::Tool { content, id } => content.len() + id.len(),
        Message::Assistant { text, calls } => {
            let call = |call: &ToolCall| call.name.len() + call.arguments.len() + 40;
            text.len() + calls.iter().map(call).sum::<usize>()
        }
    };
    bytes / BYTES + FRAME
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::thinker::Outcome;

    fn past(count: usize, size: usize) -> Vec<Past> {
        let call = |number| Past::Call {
            tool: format!("tool_{number}"),
            arguments: json!({}),
            outcome: Outcome::Done(json!("y".repeat(size))),
        };
        (0..count)
            .flat_map(|number| {
                [
                    Past::User("x".repeat(size)),
                    call(number),
                    Past::Assistant("z".into()),
                ]
            })
            .collect()
    }

    /// Every result follows the message that called it.
    fn is_sound(messages: &[Message]) -> bool {
        let mut open: Vec<&str> = Vec::new();
        messages.iter().all(|message| match message {
            Message::Assistant { calls, .. } => {
                open = calls.iter().map(|call| call.id.as_str()).collect();
                true
            }
            Message::Tool { id, .. } => open.contains(&id.as_str()),
            _ => true,
        })
    }

    proptest! {
        #[test]
        fn it_fits_and_keeps_the_question(
            count in 0usize..20, size in 0usize..6000, results in 0usize..4, tokens in 0usize..20_000,
        ) {
            let mark = Mark::new();
            let mut context = Context::new("system".to_owned(), past(count, size), "the question", &mark);
            for step in 0..results {
                let id = format!("call{step}");
                let call = ToolCall { id: id.clone(), name: "t".to_owned(), arguments: "{}".to_owned() };
                context.said(String::new(), vec![call]);
                context.result(id, mark.outcome(&Outcome::Done(json!("r".repeat(size))), 8000));
            }
            match context.within(tokens).map(<[Message]>::to_vec) {
                Some(messages) => {
                    prop_assert!(is_sound(&messages));
                    prop_assert!(messages.contains(&Message::user("the question")));
                    prop_assert_eq!(&messages[0], &Message::System("system".to_owned()));
                    prop_assert!(context.cost() <= tokens);
                    let kept = messages.iter().filter(|it| matches!(it, Message::Tool { id, .. } if id.starts_with("call")));
                    prop_assert_eq!(kept.count(), results);
                }
                None => prop_assert!(tokens < 2000, "{}", tokens),
            }
        }
    }

    #[test]
    fn what_is_new_stays_longest() {
        let mark = Mark::new();
        let mut context = Context::new("s".to_owned(), past(3, 1000), "q", &mark);
        let all = context.cost();
        let old = |messages: &[Message]| {
            messages
                .iter()
                .filter(|it| matches!(it, Message::Tool { content, .. } if content.len() > 900))
                .count()
        };
        assert_eq!(old(context.within(all).unwrap()), 3);
        assert_eq!(old(context.within(all - 200).unwrap()), 2);
        assert_eq!(
            context.within(20).unwrap().len(),
            2,
            "only what was said first and the question"
        );
        assert!(context.within(10).is_none());
    }
}
