//! Links, addresses and routes, as the kernel tells of them (rtnetlink(7)).

use std::io;

use netlink::Changes;

use crate::daemon::keeper::{Poke, Trigger};

pub(super) async fn run(poke: &Poke) -> io::Result<()> {
    let changes = Changes::open()?;
    let readable = super::readiness(&changes)?;
    loop {
        let mut ready = readable.readable().await?;
        let told = changes.drain()?;
        ready.clear_ready();
        if told {
            poke.send(Trigger::Event("the network changed"));
        }
    }
}
