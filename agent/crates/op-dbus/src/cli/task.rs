//! Tasks, and the agents that carry them out.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::duration;

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// List the tasks that you submitted; all as an admin
    #[command(visible_alias = "ls")]
    List {
        /// Only those in this state, such as queued, running, done or failed
        #[arg(long)]
        state: Option<String>,
        /// Only those of this agent
        #[arg(long)]
        agent: Option<String>,
    },
    /// Show one task: its state, its result, each attempt at it
    Show {
        /// The task's number
        id: i64,
    },
    /// Take a task back
    Cancel {
        /// The task's number
        id: i64,
    },
    /// Give an agent a task, which is carried out even if you do not wait for it
    Submit(Submit),
}

#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// What is to be done: a tool, or with --agent one of its short names
    pub(crate) operation: String,
    /// The arguments: KEY=VALUE, where a value that is JSON is taken as such; or one JSON object
    pub(crate) arguments: Vec<String>,
    /// The agent
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// The hash of the plan that was shown; what destroys needs it
    #[arg(long, value_name = "HASH")]
    pub(crate) plan: Option<String>,
    /// The higher the sooner, -10 to 10
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) priority: i8,
    /// It has to begin, and to end, within this time, such as 30s or 1h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) deadline: Option<Duration>,
    /// How often it may be tried again after a failure that may pass
    #[arg(long, default_value_t = 0)]
    pub(crate) retries: u8,
    /// Doing it twice is as good as doing it once: it may be run again after a crash
    #[arg(long)]
    pub(crate) idempotent: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Agent {
    /// List the agents, with their names on the bus and their operations
    #[command(visible_alias = "ls")]
    List,
}
