//! embed: the process that runs the declared model. Other processes of this program start it.

use std::io::{BufWriter, stdin, stdout};
use std::time::Duration;

use model::{Job, work};
use tools::engine::placement_of;

use crate::cli;
use crate::failure::Failure;

pub(super) fn run(options: &cli::Embed) -> Result<u8, Failure> {
    let placement = options.numa.as_deref().map(|text| {
        let wrong = || Failure::Usage(format!("`{text}` is not STRATEGY:POLICY:NODES"));
        placement_of(text).ok_or_else(wrong)
    });
    let job = Job {
        directory: options.model.clone(),
        threads: options.threads,
        idle: Duration::from_secs(options.idle),
        placement: placement.transpose()?,
    };
    // Unlocked and unbuffered input: what is polled is what is read.
    let input = std::fs::File::from(
        rustix::io::dup(stdin())
            .map_err(|errno| anyhow::Error::new(std::io::Error::from(errno)))?,
    );
    work(&job, input, BufWriter::new(stdout())).map_err(anyhow::Error::new)?;
    Ok(0)
}
