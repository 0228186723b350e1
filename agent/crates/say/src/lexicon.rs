//! The words that have a meaning here.

use std::collections::HashMap;
use std::sync::LazyLock;

use strsim::osa_distance;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[rustfmt::skip]
pub(crate) enum Verb {
    Show, List, Read, Search, Start, Stop, Restart, Reload, Enable, Disable, Mask, Unmask, Create, Delete,
    Install, Uninstall, Update, Refresh, Verify, Validate, Prove, Plan, Apply, Confirm, Undo, Restore, Export,
    Import, Replace, Run, Build, Pin, Unpin, Diff, Rotate, Send, Set, Clear, Clean, Cancel, Write, Inspect,
    Learn, Forget, Generate, Index, Submit, Snapshot, Count, Query, Keep, Replicate, Plot,
}

/// What it is to be done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[rustfmt::skip]
pub(crate) enum Noun {
    Container, Template, Unit, Timer, Socket, Job, Property, Journal, Bridge, Port, Interface, Flow,
    FlowTable, PortNumber, Ovs, Link, Address, Route, Neighbour, Peer, Listener, Snapshot, Ledger, Entry,
    Checkpoint, Head, Index, State, Plan, Drift, Run, Host, Session, Hostname, Timezone, Hardware, Filesystem,
    Runtime, Software, Bus, Object, Package, Installed, Updates, PackageList, Plugin, Stream, File, Directory,
    Process, Command, Task, Agent, Cache, Learned, Kernel, Memory, Processor, Config, Intact, Resources, Console,
    Topology,
}

/// A word that leads to something, or says something by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[rustfmt::skip]
pub(crate) enum Mark {
    Named, Memory, Swap, Cores, Address, Gateway, Mesh, Sockets, NoNetwork, Network, Privileged, Stopped,
    Last, And, From, To, In, On, With, All, It, Too, As, Because, By, V4, V6, Boot, Table, Older,
}

/// What a word may mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sense {
    /// What is to be done, if it leads the sentence.
    Verb(Verb),
    /// What it is to be done with.
    Noun(Noun),
    /// Nothing.
    Fill,
    /// It leads to something.
    Mark(Mark),
    /// A state, in the words of systemd and of tasks.
    State(&'static str),
    /// A priority of the journal.
    Level(&'static str),
    /// It begins a question.
    Question,
    /// It tells of what was done.
    Past,
    /// Nobody orders anything with it.
    Guard,
}

use Sense::{Fill, Guard, Level, Past, Question, State};

/// Phrases, parted by `|`, and what they mean. Of two for the same phrase both hold.
#[rustfmt::skip]
static PHRASES: &[(&str, Sense)] = &[
    ("show|show me|display|print|see|view|let me see|give me|get|tell me about|tell me|describe|details of|detail|details|info on|info about|information about|look at|overview of|an overview of|status of|state of|check on|check|what's|what is|what are|whats|how is|how's|how are|is|are|which|what|which are|how|does|do|has|have|how well|how full|how much|status|what about the|who is|who's|who are|who|report|monitor|fetch|dump|tail|cat|follow|open|read|where is|where are|any|are there|are there any|is there|is there any", Sense::Verb(Verb::Show)),
    ("plot|graph|chart|draw|plot of|graph of|chart of|a plot of|a graph of|a chart of|show a plot of|show a graph of|show a chart of|show me a plot of|show me a graph of|show me a chart of", Sense::Verb(Verb::Plot)),
    ("list|ls|enumerate|list all|show all", Sense::Verb(Verb::List)),
    ("cat|read|open|print|show|contents of|show me|content of", Sense::Verb(Verb::Read)),
    ("search|find|look for|search for|look up|grep|grep for|locate|lookup", Sense::Verb(Verb::Search)),
    ("start|boot|boot up|bring up|power on|turn on|switch on|fire up|launch|run|start up|power up|wake|wake up", Sense::Verb(Verb::Start)),
    ("stop|halt|shut down|shutdown|power off|turn off|switch off|take down|bring down|power down|kill|end", Sense::Verb(Verb::Stop)),
    ("restart|bounce|cycle|power cycle|relaunch|reboot", Sense::Verb(Verb::Restart)),
    ("reload|reread", Sense::Verb(Verb::Reload)),
    ("enable|activate|autostart", Sense::Verb(Verb::Enable)),
    ("disable|deactivate", Sense::Verb(Verb::Disable)),
    ("mask", Sense::Verb(Verb::Mask)),
    ("unmask", Sense::Verb(Verb::Unmask)),
    ("create|make|make me|add|set up|setup|spin up|launch|new|provision|deploy|build|build me|a new|i need a|i need an|i need a new|give me a new|give me an|create me|take|i want a|i want a new", Sense::Verb(Verb::Create)),
    ("delete|remove|destroy|get rid of|drop|erase|wipe|throw away|tear down|nuke|trash", Sense::Verb(Verb::Delete)),
    ("install|apt install|apt-get install", Sense::Verb(Verb::Install)),
    ("uninstall|deinstall|purge|apt remove|apt-get remove", Sense::Verb(Verb::Uninstall)),
    ("update|upgrade|bring up to date", Sense::Verb(Verb::Update)),
    ("refresh|update|renew|fetch", Sense::Verb(Verb::Refresh)),
    ("verify|check|audit|has|is|does", Sense::Verb(Verb::Verify)),
    ("validate|check", Sense::Verb(Verb::Validate)),
    ("prove|proof of|proof for|proof that|give me a proof of|give me a proof for|show the proof of|show the proof for", Sense::Verb(Verb::Prove)),
    ("plan|dry run|preview|what would", Sense::Verb(Verb::Plan)),
    ("apply|converge|bring|enforce", Sense::Verb(Verb::Apply)),
    ("confirm", Sense::Verb(Verb::Confirm)),
    ("keep", Sense::Verb(Verb::Keep)),
    ("undo|roll back|rollback|revert|take back|go back to|roll back to|rollback to", Sense::Verb(Verb::Undo)),
    ("restore|bring back|put back|recover", Sense::Verb(Verb::Restore)),
    ("export|back up|dump", Sense::Verb(Verb::Export)),
    ("import|take in", Sense::Verb(Verb::Import)),
    ("replace", Sense::Verb(Verb::Replace)),
    ("run|exec|execute", Sense::Verb(Verb::Run)),
    ("build|rebuild|build again", Sense::Verb(Verb::Build)),
    ("pin|keep|protect", Sense::Verb(Verb::Pin)),
    ("unpin|unprotect", Sense::Verb(Verb::Unpin)),
    ("diff|compare|difference between|differences between|what changed|what changed since|what changed between|changes since|changes between|what is different|what has changed since|what's different|show changes", Sense::Verb(Verb::Diff)),
    ("rotate|prune", Sense::Verb(Verb::Rotate)),
    ("send|ship|copy|push", Sense::Verb(Verb::Send)),
    ("replicate", Sense::Verb(Verb::Replicate)),
    ("set|change|rename|name|call|configure", Sense::Verb(Verb::Set)),
    ("clear|empty|flush|drop|wipe", Sense::Verb(Verb::Clear)),
    ("clean|clean up|tidy|tidy up", Sense::Verb(Verb::Clean)),
    ("cancel|abort|take back", Sense::Verb(Verb::Cancel)),
    ("write|put|save", Sense::Verb(Verb::Write)),
    ("inspect|analyse|analyze|examine|what is in|what kind of file is|what format is", Sense::Verb(Verb::Inspect)),
    ("learn|remember", Sense::Verb(Verb::Learn)),
    ("forget|unlearn", Sense::Verb(Verb::Forget)),
    ("generate|draft", Sense::Verb(Verb::Generate)),
    ("index|reindex|complete|rebuild", Sense::Verb(Verb::Index)),
    ("submit|queue|enqueue|hand in|schedule", Sense::Verb(Verb::Submit)),
    ("snapshot", Sense::Verb(Verb::Snapshot)),
    ("count|how many|number of|the number of", Sense::Verb(Verb::Count)),
    ("query|resources of|what does the plugin have|what plugins look after", Sense::Verb(Verb::Query)),
    // What things are called.
    ("container|containers|box|boxes|guest|guests|lxc|vm|vms|instance|instances|lxc containers|lxc container", Sense::Noun(Noun::Container)),
    ("template|templates|image|images|container templates|container template", Sense::Noun(Noun::Template)),
    ("unit|units|service|services|daemon|daemons|systemd|systemd services|systemd service|systemd units|systemd unit", Sense::Noun(Noun::Unit)),
    ("timer|timers|systemd timers", Sense::Noun(Noun::Timer)),
    ("socket units|systemd sockets", Sense::Noun(Noun::Socket)),
    ("job|jobs|systemd jobs|systemd job", Sense::Noun(Noun::Job)),
    ("properties|property", Sense::Noun(Noun::Property)),
    ("journal|log|logs|log lines|log entries|journal entries|messages|syslog|system log|system logs|lines of the journal|lines of journal|lines of the log|lines of log", Sense::Noun(Noun::Journal)),
    ("bridge|bridges|switch|switches|ovs bridges|ovs bridge", Sense::Noun(Noun::Bridge)),
    ("port|ports|ovs ports|bridge ports", Sense::Noun(Noun::Port)),
    ("ovs interfaces|interfaces of open vswitch|switch interfaces|ovs interface|bridge interfaces", Sense::Noun(Noun::Interface)),
    ("flow|flows|openflow flows|openflow rules", Sense::Noun(Noun::Flow)),
    ("flow tables|flow table|openflow tables", Sense::Noun(Noun::FlowTable)),
    ("openflow ports|port numbers|openflow port numbers", Sense::Noun(Noun::PortNumber)),
    ("ovs|open vswitch|openvswitch", Sense::Noun(Noun::Ovs)),
    ("topology|network topology|topology of the network|network map|map of the network|network diagram|wiring", Sense::Noun(Noun::Topology)),
    ("interface|interfaces|network interfaces|network interface|link|links|nic|nics|network card|network cards|network devices|netdevs|network links", Sense::Noun(Noun::Link)),
    ("address|addresses|ip address|ip addresses|ip|ips|ip's", Sense::Noun(Noun::Address)),
    ("route|routes|routing table|routing|default route|routing tables", Sense::Noun(Noun::Route)),
    ("neighbour|neighbours|neighbor|neighbors|arp table|arp|arp cache|neighbour table", Sense::Noun(Noun::Neighbour)),
    ("peer|peers|mesh peer|mesh peers|mesh node|mesh nodes|mesh members|wireguard peer|wireguard peers|netmaker peers|netmaker nodes|vpn peers|peers of the mesh|peers in the mesh|peers on the mesh|nodes of the mesh|nodes in the mesh|members of the mesh|who is in the mesh|who is on the mesh", Sense::Noun(Noun::Peer)),
    ("listening|listening sockets|listening ports|listening services|open ports|name servers|nameservers|dns servers|dns|network|sockets that listen|ports that listen", Sense::Noun(Noun::Listener)),
    ("snapshot|snapshots|restore point|restore points", Sense::Noun(Noun::Snapshot)),
    ("ledger|history|audit log|audit trail|chain|blockchain|ledger log|ledger entries|entries of the ledger", Sense::Noun(Noun::Ledger)),
    ("entry|entries|ledger entry|record", Sense::Noun(Noun::Entry)),
    ("checkpoint|signed head", Sense::Noun(Noun::Checkpoint)),
    ("head|consistency|consistent", Sense::Noun(Noun::Head)),
    ("search index|index|search", Sense::Noun(Noun::Index)),
    ("state|host state|declaration|declared state|pending changes|changes|everything|resources|ok|okay|alright|all right|well|its declaration|health|healthy", Sense::Noun(Noun::State)),
    ("plan|pending changes|would change|would apply change|apply change|would be changed|would happen|to be done|would apply do", Sense::Noun(Noun::Plan)),
    ("drift|declared state|declaration|its declaration|its declared state|match its declaration|in sync|converged|drifted|out of sync", Sense::Noun(Noun::Drift)),
    ("run|last run|change|changes|last change|last changes|run that waits|waiting run", Sense::Noun(Noun::Run)),
    ("host|machine|server|system|computer|uptime|kernel version|os|this host|node|box|load average|time|date", Sense::Noun(Noun::Host)),
    ("logged in|sessions|session|logins|login sessions|logged on|users", Sense::Noun(Noun::Session)),
    ("hostname|host name|name of the host|name of the machine|machine name|name of this machine|name of this host", Sense::Noun(Noun::Hostname)),
    ("timezone|time zone|tz", Sense::Noun(Noun::Timezone)),
    ("hardware|pci devices|usb devices|block devices|sensors|firmware|numa nodes|cpus|processors|pci|usb|temperature|temperatures", Sense::Noun(Noun::Hardware)),
    ("filesystem|filesystems|file systems|file system|disk|disks|disk usage|disk space|mounts|mounted|df|free space|space|btrfs|full|storage|mount points|subvolumes", Sense::Noun(Noun::Filesystem)),
    ("load|pressure|runtime|cgroups|control groups|namespaces|limits|load and pressure|busy", Sense::Noun(Noun::Runtime)),
    ("resources|resource usage|cpu usage|cpu use|processor usage|cpu load|resources over time|load over time|memory over time|cpu over time|utilization|utilisation|load history|cpu history|memory history", Sense::Noun(Noun::Resources)),
    ("console|consoles|log of container|logs of container|log of the container|logs of the container|console log|console logs|console output|output of the console|lines of the console|boot messages|boot log", Sense::Noun(Noun::Console)),
    ("software|linux|operating system|kernel|distribution|generation|programs|linux version|os version", Sense::Noun(Noun::Software)),
    ("system bus|message bus|dbus|d-bus|bus names|names on the bus|services on the bus|services on the system bus|bus|dbus services|bus services", Sense::Noun(Noun::Bus)),
    ("objects|object|interfaces of|objects of", Sense::Noun(Noun::Object)),
    ("package|packages|debs|software packages|programs|apps", Sense::Noun(Noun::Package)),
    ("installed|installed packages|installed software|packages installed|packages are installed", Sense::Noun(Noun::Installed)),
    ("updates|upgrades|package updates|security updates|outdated packages|newer versions|outdated|software updates|newer packages", Sense::Noun(Noun::Updates)),
    ("package lists|package list|package cache|package index|lists of packages", Sense::Noun(Noun::PackageList)),
    ("intact|tampered|tampered with|been tampered with|been changed|genuine|valid|untouched", Sense::Noun(Noun::Intact)),
    ("plugin|plugins", Sense::Noun(Noun::Plugin)),
    ("stream", Sense::Noun(Noun::Stream)),
    ("file|files", Sense::Noun(Noun::File)),
    ("directory|directories|folder|folders|dir", Sense::Noun(Noun::Directory)),
    ("process|processes|procs|ps|top", Sense::Noun(Noun::Process)),
    ("command|commands|declared command|declared commands|allowed commands", Sense::Noun(Noun::Command)),
    ("task|tasks|queued tasks", Sense::Noun(Noun::Task)),
    ("agent|agents", Sense::Noun(Noun::Agent)),
    ("cache|caches|cache statistics|cache stats|caching", Sense::Noun(Noun::Cache)),
    ("learned|learnt|inspector|schema|schemas|known shapes|what was learned|what you learned|what you know|inspector's knowledge|shape|shapes", Sense::Noun(Noun::Learned)),
    ("meminfo|loadavg|cpuinfo|mounts|kernel file|proc", Sense::Noun(Noun::Kernel)),
    ("memory|ram|memory usage|free memory|memory use", Sense::Noun(Noun::Memory)),
    ("cpu|processor|cpu info", Sense::Noun(Noun::Processor)),
    ("configuration|config|configs|settings", Sense::Noun(Noun::Config)),
    // What leads to something.
    ("named|called|name|with the name|with name|by the name of|name it|call it|names", Sense::Mark(Mark::Named)),
    ("memory|ram|mem|of ram|of memory", Sense::Mark(Mark::Memory)),
    ("swap|of swap", Sense::Mark(Mark::Swap)),
    ("core|cores|cpu|cpus|vcpu|vcpus|cpu cores|cpu core", Sense::Mark(Mark::Cores)),
    ("address|ip|ip address|addr|at address", Sense::Mark(Mark::Address)),
    ("gateway|default gateway|via gateway|gw", Sense::Mark(Mark::Gateway)),
    ("mesh|netmaker|netmaker mesh|wireguard|wireguard mesh|mesh network|mesh networking|netmaker network|netmaker networking", Sense::Mark(Mark::Mesh)),
    ("socket|sockets|socket networking|socket network|unix sockets|shared sockets|bridge networking|bridged networking", Sense::Mark(Mark::Sockets)),
    ("no network|without network|without networking|no networking|without a network|isolated|offline|network none|without any network|network disabled", Sense::Mark(Mark::NoNetwork)),
    ("network|networking", Sense::Mark(Mark::Network)),
    ("privileged|as privileged", Sense::Mark(Mark::Privileged)),
    ("stopped|don't start it|do not start it|without starting it|not started|but not start it|not running|dont start it|don't start them|leave it stopped|keep it stopped", Sense::Mark(Mark::Stopped)),
    ("last|latest|newest|first|top|most recent|recent", Sense::Mark(Mark::Last)),
    ("and|&|plus|as well as|or", Sense::Mark(Mark::And)),
    ("from|using|based on|out of|off|from the|made from", Sense::Mark(Mark::From)),
    ("to|through|into|thru", Sense::Mark(Mark::To)),
    ("in|inside|within|inside of|below|under", Sense::Mark(Mark::In)),
    ("on|over", Sense::Mark(Mark::On)),
    ("all|every|each|all the|all my|all of", Sense::Mark(Mark::All)),
    ("it|that|this|them|its|those|these|that one|this one|it's|his|her|their|the same", Sense::Mark(Mark::It)),
    ("too|as well|also", Sense::Mark(Mark::Too)),
    ("as", Sense::Mark(Mark::As)),
    ("because|because of|since we|reason|for the reason|the reason is", Sense::Mark(Mark::Because)),
    ("by|sorted by|ordered by|by user|of user|belong to|owned by|belonging to|belongs to", Sense::Mark(Mark::By)),
    ("ipv4|v4", Sense::Mark(Mark::V4)),
    ("ipv6|v6", Sense::Mark(Mark::V6)),
    ("this boot|current boot|since boot|since the boot|present boot|since the last boot", Sense::Mark(Mark::Boot)),
    ("table|in table", Sense::Mark(Mark::Table)),
    ("older than|than|not used for|older", Sense::Mark(Mark::Older)),
    ("containing|that contain|with the text|that contains|with text|with|which contain|matching|that match|mentioning|about|for", Sense::Mark(Mark::With)),
    // States.
    ("failed|failing|broken|crashed", State("failed")),
    ("running", State("running")),
    ("active|up", State("active")),
    ("inactive|dead", State("inactive")),
    ("masked", State("masked")),
    ("queued|waiting", State("queued")),
    ("done|finished", State("done")),
    ("cancelled|canceled", State("cancelled")),
    ("error|errors", Level("err")),
    ("warning|warnings", Level("warning")),
    ("critical|crit", Level("crit")),
    ("emergencies|emergency", Level("emerg")),
    ("alerts|alert", Level("alert")),
    ("notices", Level("notice")),
    ("debug|debug messages", Level("debug")),
    // Questions: what they ask for is looked at, never done.
    ("is it|is it safe|should|should i|should we|can i|can we|could i|may i|might|do i|do we|does|did|why|why would|when|what happens|what happens if|what if|what will|how do i|how to|how can i|how would i|do you|who may|is there a way to|was|were|has|have|who|how many|what would happen|would|shall|am i", Question),
    // What was done.
    ("what changed|what has changed|created|deleted|destroyed|removed|started|stopped|restarted|changed|happened|was done|were created|was created|was started|was stopped|was changed|made|did|applied|rolled back|updated|was deleted|were deleted|were started|were stopped|been created|been changed|been deleted|broke|broken|done by|happen|went wrong|go wrong", Past),
    // Nobody orders anything with these.
    ("don't|dont|do not|not|never|no|neither|nor|without|unless|if|when|whenever|while|until|till|after|before|once|except|instead of|avoid|stop neither|suppose|imagine|say|says|said|told|tells|might|would|should|could|may|must not|cannot|can't|cant|won't|wouldn't|shouldn't|didn't|doesn't|isn't|wasn't|later|maybe|perhaps|hypothetically|pretend|assume|assuming|tomorrow|tonight|soon|yet|hereby|ignore|approve|approved|already|anything|nothing|everyone|nobody|none|but not", Guard),
    // Words of no meaning here.
    ("of what is|day|days|a new|a|an|the|of|my|our|your|please|pls|plz|kindly|some|there|we|i|you|me|us|now|right now|just|then|hey|hi|hello|ok|okay|so|thanks|thank you|currently|at the moment|present|exist|available|do we have|have we got|for me|for us|with|at|for|on the|these|new|fresh|old|named the|whole|entire|again please|would you|could you|can you|will you|would you please|could you please|can you please|will you please|i want to|i want you to|i'd like to|i'd like you to|i would like to|i would like you to|i need to|i need you to|we need to|let's|lets|let us|go ahead and|want|need|up|down|off|out|but|doing|going|hooked|attached|connected|attached to|connected to|reachable|reached|one|at boot|at startup|on boot|with the machine|at boot time|quickly|quick|immediately|asap|there are|do|does|are|is|has|have|been|was|were|be|got|get|be able|live|size|kind|type|container-wise|here|mine|ones|today's|this host's|host's|that is|that are|which are|with a|with an|with the|having|wise|please now|in the|at all|over there|list|lists|overview|status|state|states|details|info|information|full|number|contents|content|linux container|and its data|and all its data|its data|statistics|stats|declared|complete|that's|also|next|first|finally|afterwards|after that|permanently|for good|what is in|known|line|lines|usage|use|used|doing now|belong|available here|on this host|on this machine|of this host|of this machine|this machine|this host|on the host|of the host|on this server|this server|newly|actually|really|op-dbus|opdbus|sudo|systemctl|journalctl|its configuration|the configuration of|log of|present time|i may|may i run|can i run|may i|working on|work on|work|works|at work|doing at|system's|systems|via|under|called by|for this|as a|as an|is on|are on|who|called the|people", Fill),

];

/// Words of English that look like a typing error of one that has a meaning, and are none.
static NO_TYPOS: &str = "remote remotes unable crate crates stat star stars task ask asks restate instill relate relates sport \
    spot spots step steps stock shop stand state states mast past cost cast list lost last lust post posts part parts \
    boat book boom root boots bounced retail detail detailed delegate delegates detect detects delayed undelete script \
    scripts strip strips trip clip reset resets rest rested rests import impost export expert enables unstable \
    stable table tables tablet note notes node nodes code codes mode model host hosts hot most lots love live life \
    five fire file films poem pose pins pint paint sent set sets send sand salt show shows slow snow know now how \
    start starts started smart chart startle stopping starting deleting removing read reads road ready reader \
    creative creature create created creates treat great greet cream routed router routers rooted roast pocket \
    rocket rackets jacket ticket tickets bracket basket closet entity entirely entrance century country counting \
    discount county mount account accounts amount mounting addressed dressed stressed progress processor recess \
    access success excess unites united unity untie limit visit edit merit services serves serviced package \
    packaged passage message messages massage cookies cookie coffee season humans human moved mover remover \
    removed improve approve proven prover provide poof roof proves reloaded upload load loads lead leads leaf left \
    logs logo login logic long lung bag big bug";

/// One phrase of several words after its first: those words, and what they mean together.
type Longer = (Vec<&'static str>, Vec<Sense>);

/// All phrases, by their first word; the longest first.
static LEXICON: LazyLock<HashMap<&'static str, Vec<Longer>>> = LazyLock::new(|| {
    let mut all: HashMap<&str, Vec<Longer>> = HashMap::new();
    for (phrases, sense) in PHRASES {
        for phrase in phrases.split('|') {
            let mut words = phrase.split(' ');
            let first = words.next().unwrap_or_default();
            let rest: Vec<_> = words.collect();
            let entries = all.entry(first).or_default();
            match entries.iter_mut().find(|(have, _)| *have == rest) {
                Some((_, senses)) => senses.push(*sense),
                None => entries.push((rest, vec![*sense])),
            }
        }
    }
    for entries in all.values_mut() {
        entries.sort_by_key(|(rest, _)| std::cmp::Reverse(rest.len()));
    }
    all
});

/// Single words that a typing error may have been meant for, by their first letter.
static SPELLINGS: LazyLock<HashMap<char, Vec<&'static str>>> = LazyLock::new(|| {
    let mut all: HashMap<char, Vec<&str>> = HashMap::new();
    let tells = |sense: &Sense| !matches!(sense, Fill | Guard | Question | Past);
    for (first, entries) in LEXICON.iter() {
        let single = entries
            .iter()
            .any(|(rest, senses)| rest.is_empty() && senses.iter().any(tells));
        if single
            && first.len() >= 4
            && let Some(letter) = first.chars().next()
        {
            all.entry(letter).or_default().push(first);
        }
    }
    all.values_mut().for_each(|words| words.sort_unstable());
    all
});

/// The longest phrase that the words begin with: how many words it has, and what it may mean.
pub(crate) fn phrase(words: &[&str]) -> Option<(usize, &'static [Sense])> {
    let (first, rest) = words.split_first()?;
    let entries = LEXICON.get(*first)?;
    let found = entries
        .iter()
        .find(|(after, _)| rest.len() >= after.len() && rest[..after.len()] == after[..])?;
    Some((found.0.len() + 1, &found.1))
}

/// Whether a word is one that has a meaning here by itself, or is a word of English that has none.
fn is_word(word: &str) -> bool {
    static WORDS: LazyLock<std::collections::HashSet<&str>> =
        LazyLock::new(|| NO_TYPOS.split_whitespace().collect());
    WORDS.contains(word) || LEXICON.contains_key(word)
}

/// The word that was meant, where this one is a typing error: one letter too many, too few or another, or two that
/// changed places; two of them in words of seven letters or more.
pub(crate) fn spelling(word: &str) -> Option<&'static str> {
    let letters = word.chars().count();
    if !(4..=20).contains(&letters)
        || !word.chars().all(|c| c.is_ascii_lowercase())
        || is_word(word)
    {
        return None;
    }
    let reach = if letters >= 7 { 2 } else { 1 };
    let near = SPELLINGS.get(&word.chars().next()?)?.iter();
    let near = near.filter(|known| known.len().abs_diff(letters) <= reach);
    let scored = near.map(|known| (osa_distance(word, known), *known));
    scored
        .filter(|(distance, _)| *distance <= reach)
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_seen_and_other_words_are_not() {
        for (typed, meant) in [
            ("shwo", "show"),
            ("restrat", "restart"),
            ("contaners", "containers"),
            ("stpo", "stop"),
            ("snapshtos", "snapshots"),
            ("delte", "delete"),
            ("creat", "create"),
            ("lsit", "list"),
        ] {
            assert_eq!(spelling(typed), Some(meant), "{typed}");
        }
        for word in [
            "remote", "script", "undelete", "stat", "crate", "unable", "weather", "x", "web-01",
        ] {
            assert_eq!(spelling(word), None, "{word}");
        }
    }

    #[test]
    fn the_longest_phrase_counts() {
        let (length, senses) = phrase(&["get", "rid", "of", "it"]).unwrap();
        assert_eq!((length, senses), (3, &[Sense::Verb(Verb::Delete)][..]));
        assert!(phrase(&["zebra"]).is_none());
    }
}
