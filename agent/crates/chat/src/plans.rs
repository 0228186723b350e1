//! Plans that wait for somebody to agree: each bound to tool, arguments and hash, for ten minutes, once.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a plan may be agreed to.
pub(crate) const LIFE: Duration = Duration::from_secs(600);
/// How many wait at once; more are of no use to anybody.
const OPEN: usize = 20;
/// How many decided ones are remembered, to say so.
const DECIDED: usize = 200;

/// A plan that waits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pending {
    pub(crate) id: String,
    /// The number of the event that showed it.
    pub(crate) seq: u64,
    pub(crate) tool: String,
    pub(crate) title: String,
    /// All of them, as the tool gets them.
    pub(crate) arguments: Value,
    pub(crate) effect: api::Effect,
    pub(crate) hash: String,
    /// What has to be typed.
    pub(crate) confirm_name: Option<String>,
    pub(crate) until: Instant,
    pub(crate) wish: Wish,
    pub(crate) in_reply_to: Option<String>,
}

/// What led to a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    /// What the person said.
    pub(crate) sentence: String,
    /// A language model made a call of it. A yes may then be an answer to what the model asked: such a plan is agreed
    /// to on its card alone.
    pub(crate) by_model: bool,
}

/// Why a plan cannot be agreed to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is no plan {0}; say again what you want, and look at its plan")]
    Unknown(String),
    #[error("the plan {0} was decided already; say again what you want")]
    Decided(String),
    #[error(
        "the plan {0} is older than ten minutes; say again what you want, and look at its plan"
    )]
    Expired(String),
    #[error("type the name `{0}` to agree to this plan")]
    WrongName(String),
}

impl Refusal {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "not-found",
            Self::Decided(_) => "decided",
            Self::Expired(_) => "expired",
            Self::WrongName(_) => "wrong-name",
        }
    }
}

/// The plans of one user.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    open: VecDeque<Pending>,
    decided: VecDeque<String>,
}

impl Plans {
    /// Takes a plan in; gives those that it takes the place of.
    pub(crate) fn add(&mut self, plan: Pending) -> Vec<Pending> {
        let same = |other: &Pending| other.tool == plan.tool && other.arguments == plan.arguments;
        let mut replaced: Vec<_> = self
            .open
            .iter()
            .filter(|other| same(other))
            .cloned()
            .collect();
        self.open.retain(|other| !same(other));
        self.open.push_back(plan);
        while self.open.len() > OPEN {
            replaced.extend(self.open.pop_front());
        }
        for plan in &replaced {
            self.decide(&plan.id);
        }
        replaced
    }

    /// Takes a plan out to carry it out. After a wrong name it still waits.
    pub(crate) fn approve(
        &mut self,
        id: &str,
        name: Option<&str>,
        now: Instant,
    ) -> Result<Pending, Refusal> {
        let place = self.place(id)?;
        let plan = &self.open[place];
        if now >= plan.until {
            return Err(Refusal::Expired(id.to_owned()));
        }
        if let Some(wanted) = &plan.confirm_name
            && name.map(str::trim) != Some(wanted)
        {
            return Err(Refusal::WrongName(wanted.clone()));
        }
        self.take(place)
            .ok_or_else(|| Refusal::Unknown(id.to_owned()))
    }

    /// Drops a plan.
    pub(crate) fn cancel(&mut self, id: &str) -> Result<Pending, Refusal> {
        let place = self.place(id)?;
        self.take(place)
            .ok_or_else(|| Refusal::Unknown(id.to_owned()))
    }

    /// Takes out what nobody agreed to in time.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Pending> {
        let mut over = Vec::new();
        while let Some(place) = self.open.iter().position(|plan| now >= plan.until) {
            over.extend(self.take(place));
        }
        over
    }

    /// Those that wait, oldest first.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Pending> {
        self.open.iter()
    }

    fn place(&self, id: &str) -> Result<usize, Refusal> {
        let place = self.open.iter().position(|plan| plan.id == id);
        place.ok_or_else(|| match self.decided.iter().any(|known| known == id) {
            true => Refusal::Decided(id.to_owned()),
            false => Refusal::Unknown(id.chars().take(20).collect()),
        })
    }

    fn take(&mut self, place: usize) -> Option<Pending> {
        let plan = self.open.remove(place)?;
        self.decide(&plan.id);
        Some(plan)
    }

    fn decide(&mut self, id: &str) {
        self.decided.push_back(id.to_owned());
        if self.decided.len() > DECIDED {
            self.decided.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plan(id: &str, name: Option<&str>) -> Pending {
        Pending {
            id: id.to_owned(),
            seq: 1,
            tool: "container_destroy".to_owned(),
            title: String::new(),
            arguments: json!({ "name": id }),
            effect: api::Effect::Destroy,
            hash: "h".to_owned(),
            confirm_name: name.map(str::to_owned),
            until: Instant::now() + LIFE,
            wish: Wish {
                sentence: String::new(),
                by_model: false,
            },
            in_reply_to: None,
        }
    }

    #[test]
    fn a_plan_is_agreed_to_once_in_time_and_by_its_name() {
        let mut plans = Plans::default();
        let now = Instant::now();
        plans.add(plan("P1", Some("web-01")));
        let wrong = Refusal::WrongName("web-01".to_owned());
        assert_eq!(plans.approve("P1", None, now), Err(wrong.clone()));
        assert_eq!(plans.approve("P1", Some("web-0"), now), Err(wrong));
        assert!(plans.approve("P1", Some("web-01"), now).is_ok());
        assert_eq!(
            plans.approve("P1", Some("web-01"), now),
            Err(Refusal::Decided("P1".to_owned()))
        );
        assert_eq!(
            plans.approve("P2", None, now),
            Err(Refusal::Unknown("P2".to_owned()))
        );
        plans.add(plan("P3", None));
        assert_eq!(
            plans.approve("P3", None, now + LIFE * 2),
            Err(Refusal::Expired("P3".to_owned()))
        );
        assert_eq!(plans.expire(now + LIFE * 2).len(), 1);
        assert_eq!(
            plans.approve("P3", None, now),
            Err(Refusal::Decided("P3".to_owned()))
        );
    }

    #[test]
    fn the_same_again_takes_the_place_of_the_first() {
        let mut plans = Plans::default();
        assert!(plans.add(plan("P1", None)).is_empty());
        let mut again = plan("P2", None);
        again.arguments = json!({ "name": "P1" });
        assert_eq!(plans.add(again)[0].id, "P1");
        assert!(plans.cancel("P1").is_err() && plans.cancel("P2").is_ok());
        for n in 0..30 {
            plans.add(plan(&format!("P{}", n + 10), None));
        }
        assert_eq!(plans.open().count(), OPEN);
    }
}
