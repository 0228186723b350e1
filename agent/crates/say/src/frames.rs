//! What is said for which tool: verbs, the thing it is about, and where its arguments come from.

use crate::lexicon::{Mark, Noun, Verb};
use crate::world::Kind;

/// Where an argument comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum From {
    /// A name that is known, or as it is written where the thing is named beside it.
    Known(Kind),
    /// The second known name.
    Second(Kind),
    /// A known name, or the only one there is.
    Only(Kind),
    /// A name that nothing has yet.
    New,
    /// A template: named, or the one that others are based on.
    Template,
    /// How a container is reached.
    Network,
    /// A size beside a word.
    Size(Mark),
    /// A number beside a word.
    Beside(Mark),
    /// A number beside a word, as text.
    NumberText,
    /// An address with or without its prefix length; not that of the gateway.
    Address,
    /// An address behind the word.
    Gateway,
    /// A value where a word stands.
    Flag(Mark, bool),
    /// A text where a word stands.
    Choice(Mark, &'static str),
    /// A text where a noun stands.
    OfNoun(Noun, &'static str),
    /// A whole number.
    Number,
    /// How many, with `last` or beside the noun.
    Limit,
    /// The time, as RFC 3339: its beginning.
    Since,
    /// The time, as RFC 3339: its end.
    Until,
    /// The same in seconds.
    SinceSeconds,
    /// The same in seconds.
    UntilSeconds,
    /// A state.
    State,
    /// A priority.
    Level,
    /// An absolute path.
    Path,
    /// A path, an address or a name that the inspector takes.
    Source,
    /// The same, as a list.
    Sources,
    /// A name with `*` or `?`.
    Glob,
    /// A quotation.
    Quoted,
    /// A quotation, or the words that nothing else is for.
    Rest,
    /// The words that nothing else is for, as a list.
    List,
    /// Everything behind the word.
    Behind(Mark),
    /// A name on the bus.
    Bus,
    /// The name of a tool.
    Tool,
    /// A word without a meaning, shaped as a name.
    Free,
    /// The last entry that changed something, or the run that is named.
    LastChange,
    /// One of the kernel's files below /proc.
    KernelFile,
    /// Always `false`.
    No,
    /// 0 where the present start of the machine is named.
    Boot,
}

/// An argument of a tool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Argument {
    pub(crate) name: &'static str,
    pub(crate) from: From,
    pub(crate) needed: bool,
}

/// What is said for a tool.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) tool: &'static str,
    pub(crate) verbs: &'static [Verb],
    /// One of these has to be there, unless a name or path says as much.
    pub(crate) nouns: &'static [Noun],
    /// These may be there too.
    pub(crate) also: &'static [Noun],
    /// The verb alone says enough.
    pub(crate) bare: bool,
    pub(crate) arguments: &'static [Argument],
}

const fn need(name: &'static str, from: From) -> Argument {
    Argument {
        name,
        from,
        needed: true,
    }
}

const fn may(name: &'static str, from: From) -> Argument {
    Argument {
        name,
        from,
        needed: false,
    }
}

const fn frame(
    tool: &'static str,
    verbs: &'static [Verb],
    nouns: &'static [Noun],
    also: &'static [Noun],
    arguments: &'static [Argument],
) -> Frame {
    Frame {
        tool,
        verbs,
        nouns,
        also,
        bare: false,
        arguments,
    }
}

const fn bare(frame: Frame) -> Frame {
    Frame {
        bare: true,
        ..frame
    }
}

/// What only looks.
pub(crate) const LOOK: &[Verb] = &[Verb::Show, Verb::List, Verb::Count];

const CONTAINER: &[Argument] = &[need("name", From::Known(Kind::Container))];
const TEMPLATE: &[Argument] = &[need("name", From::Known(Kind::Template))];
const UNIT: &[Argument] = &[need("unit", From::Known(Kind::Unit))];
const SNAPSHOT: &[Argument] = &[need("name", From::Known(Kind::Snapshot))];
const PLUGIN: &[Argument] = &[need("name", From::Known(Kind::Plugin))];
const BRIDGE: &[Argument] = &[need("bridge", From::Only(Kind::Bridge))];
const BRIDGE_TABLE: &[Argument] = &[
    need("bridge", From::Only(Kind::Bridge)),
    may("table", From::Beside(Mark::Table)),
];
const LINK: &[Argument] = &[
    may("family", From::Choice(Mark::V4, "ipv4")),
    may("family", From::Choice(Mark::V6, "ipv6")),
    may("link", From::Known(Kind::Interface)),
];
const PACKAGES: &[Argument] = &[need("packages", From::List)];
const ID: &[Argument] = &[need("id", From::Number)];
const PATH: &[Argument] = &[need("path", From::Path)];
const SERVICE: &[Argument] = &[
    need("service", From::Bus),
    may("name", From::Behind(Mark::Named)),
];

use Noun as N;
use Verb as V;

/// What is said for which tool; of two that fit as well the first is meant.
#[rustfmt::skip]
pub(crate) static FRAMES: &[Frame] = &[
    // Containers.
    frame("container_list", LOOK, &[N::Container], &[N::Host], &[]),
    frame("container_show", LOOK, &[N::Container], &[N::Host, N::Memory, N::Processor, N::Resources], CONTAINER),
    frame("container_create", &[V::Create], &[N::Container], &[N::Bridge, N::Template, N::Listener, N::Address, N::Memory, N::Processor, N::Hardware], &[need("name", From::New), need("template", From::Template), may("network", From::Network), may("bridge", From::Known(Kind::Bridge)), may("gateway", From::Gateway), may("address", From::Address), may("cores", From::Beside(Mark::Cores)), may("swap", From::Size(Mark::Swap)), may("memory", From::Size(Mark::Memory)), may("privileged", From::Flag(Mark::Privileged, true)), may("stopped", From::Flag(Mark::Stopped, true))]),
    frame("container_start", &[V::Start], &[N::Container], &[], CONTAINER),
    frame("container_stop", &[V::Stop], &[N::Container], &[], CONTAINER),
    frame("container_restart", &[V::Restart], &[N::Container], &[], CONTAINER),
    frame("container_destroy", &[V::Delete], &[N::Container], &[], CONTAINER),
    frame("container_log", &[V::Show, V::List, V::Read], &[N::Console, N::Journal], &[N::Container, N::Entry], &[need("name", From::Known(Kind::Container)), may("limit", From::Limit)]),
    frame("template_list", LOOK, &[N::Template], &[N::Container], &[]),
    frame("template_build", &[V::Build], &[N::Template], &[N::Container], TEMPLATE),
    frame("template_destroy", &[V::Delete], &[N::Template], &[N::Container], TEMPLATE),
    // Units.
    frame("systemd_unit_status", LOOK, &[N::Unit, N::Timer], &[N::State], UNIT),
    frame("systemd_list_units", LOOK, &[N::Unit, N::Timer, N::Socket], &[N::Host], &[may("state", From::State), may("type", From::OfNoun(N::Unit, "service")), may("type", From::OfNoun(N::Timer, "timer")), may("type", From::OfNoun(N::Socket, "socket")), may("pattern", From::Glob)]),
    frame("systemd_list_jobs", LOOK, &[N::Job], &[N::Unit], &[]),
    frame("systemd_unit_properties", LOOK, &[N::Property], &[N::Unit], UNIT),
    frame("systemd_start_unit", &[V::Start], &[N::Unit, N::Timer], &[], UNIT),
    frame("systemd_stop_unit", &[V::Stop], &[N::Unit, N::Timer], &[], UNIT),
    frame("systemd_restart_unit", &[V::Restart], &[N::Unit, N::Timer], &[], UNIT),
    frame("systemd_reload_unit", &[V::Reload], &[N::Unit], &[N::Config], UNIT),
    frame("systemd_enable_unit", &[V::Enable], &[N::Unit, N::Timer], &[], UNIT),
    frame("systemd_disable_unit", &[V::Disable], &[N::Unit, N::Timer], &[], UNIT),
    frame("systemd_mask_unit", &[V::Mask], &[N::Unit, N::Timer], &[], UNIT),
    frame("systemd_unmask_unit", &[V::Unmask], &[N::Unit, N::Timer], &[], UNIT),
    frame("journal_read", &[V::Show, V::List, V::Search, V::Read], &[N::Journal], &[N::Unit, N::Entry, N::Host], &[may("unit", From::Known(Kind::Unit)), may("priority", From::Level), may("boot", From::Boot), may("limit", From::Limit), may("since", From::Since), may("until", From::Until), may("grep", From::Quoted)]),
    // Network.
    frame("net_list_addresses", LOOK, &[N::Address], &[N::Host, N::Link], LINK),
    frame("net_list_links", LOOK, &[N::Link], &[N::Host, N::Listener], &[]),
    frame("net_list_routes", LOOK, &[N::Route], &[N::Host, N::Link], LINK),
    frame("net_list_neighbours", LOOK, &[N::Neighbour], &[N::Host, N::Link], LINK),
    frame("net_list_peers", LOOK, &[N::Peer], &[N::Host, N::Link], LINK),
    frame("introspect_network", LOOK, &[N::Listener], &[N::Port, N::Host], &[]),
    frame("ovs_list_bridges", LOOK, &[N::Bridge], &[N::Ovs], &[]),
    frame("ovs_list_ports", LOOK, &[N::Port], &[N::Bridge, N::Ovs], &[may("bridge", From::Known(Kind::Bridge))]),
    frame("ovs_list_ports", &[V::Show, V::List, V::Plot], &[N::Topology], &[N::Bridge, N::Ovs, N::Host], &[may("bridge", From::Known(Kind::Bridge))]),
    frame("ovs_list_interfaces", LOOK, &[N::Interface], &[N::Bridge, N::Ovs, N::Link], &[may("bridge", From::Known(Kind::Bridge))]),
    frame("ovs_show", LOOK, &[N::Ovs], &[N::Host], &[]),
    frame("openflow_flow_counts", &[V::Count], &[N::Flow], &[N::Bridge], BRIDGE_TABLE),
    frame("ovs_dump_flows", &[V::Show, V::List, V::Export], &[N::Flow], &[N::Bridge], BRIDGE_TABLE),
    frame("openflow_list_tables", LOOK, &[N::FlowTable], &[N::Bridge], BRIDGE),
    frame("openflow_list_ports", LOOK, &[N::PortNumber], &[N::Bridge], BRIDGE),
    // Snapshots.
    frame("snapshot_list", LOOK, &[N::Snapshot], &[N::Host], &[]),
    frame("snapshot_show", LOOK, &[N::Snapshot], &[], SNAPSHOT),
    frame("snapshot_create", &[V::Create], &[N::Snapshot], &[N::State], &[need("name", From::New), may("reason", From::Behind(Mark::Because))]),
    bare(frame("snapshot_create", &[V::Snapshot], &[], &[N::State, N::Host], &[need("name", From::New), may("reason", From::Behind(Mark::Because))])),
    frame("snapshot_diff", &[V::Diff], &[N::Snapshot], &[N::Run, N::State], &[need("before", From::Known(Kind::Snapshot)), may("after", From::Second(Kind::Snapshot))]),
    frame("snapshot_delete", &[V::Delete], &[N::Snapshot], &[], SNAPSHOT),
    frame("snapshot_pin", &[V::Pin], &[N::Snapshot], &[], SNAPSHOT),
    frame("snapshot_pin", &[V::Unpin], &[N::Snapshot], &[], &[need("name", From::Known(Kind::Snapshot)), may("pinned", From::No)]),
    frame("snapshot_restore", &[V::Restore], &[N::Snapshot], &[N::File], &[need("name", From::Known(Kind::Snapshot))]),
    frame("snapshot_rotate", &[V::Rotate], &[N::Snapshot], &[], &[]),
    frame("replicate", &[V::Send], &[N::Snapshot], &[], &[need("target", From::Known(Kind::Target)), may("snapshot", From::Known(Kind::Snapshot))]),
    bare(frame("replicate", &[V::Replicate], &[N::Snapshot], &[], &[need("target", From::Known(Kind::Target)), may("snapshot", From::Known(Kind::Snapshot))])),
    // The ledger.
    frame("ledger_log", LOOK, &[N::Ledger], &[N::Entry], &[may("limit", From::Limit), may("since", From::SinceSeconds), may("until", From::UntilSeconds), may("actor", From::Known(Kind::User)), may("target", From::Known(Kind::Container))]),
    frame("ledger_show", LOOK, &[N::Entry], &[N::Ledger], ID),
    frame("ledger_prove", &[V::Prove], &[N::Entry], &[N::Ledger], ID),
    frame("ledger_verify", &[V::Verify], &[N::Ledger], &[N::Intact, N::Entry], &[]),
    frame("ledger_checkpoint", LOOK, &[N::Checkpoint], &[N::Ledger], &[]),
    frame("ledger_consistency", &[V::Verify, V::Show, V::Prove], &[N::Head], &[N::Ledger], &[need("old", From::NumberText)]),
    frame("search_index", &[V::Index], &[N::Index, N::Ledger], &[], &[]),
    frame("search", &[V::Search], &[N::Ledger], &[N::Entry], &[need("query", From::Rest)]),
    // State.
    frame("state_status", LOOK, &[N::State], &[N::Host], &[]),
    frame("state_plan", &[V::Plan, V::Show, V::List], &[N::Plan], &[N::State, N::Run], &[]),
    bare(frame("state_plan", &[V::Plan], &[N::State], &[N::Run], &[])),
    frame("state_verify", &[V::Verify, V::Show, V::List], &[N::Drift], &[N::Host, N::State], &[]),
    bare(frame("state_verify", &[V::Verify], &[N::State], &[N::Host], &[])),
    frame("state_apply", &[V::Apply], &[N::State, N::Drift], &[N::Plan, N::Host], &[]),
    frame("state_confirm", &[V::Confirm, V::Keep], &[N::Run], &[N::State, N::Plan], &[]),
    bare(frame("state_confirm", &[V::Confirm], &[N::Run], &[N::State, N::Plan], &[])),
    bare(frame("state_rollback", &[V::Undo], &[N::Run], &[N::State], &[may("to", From::LastChange)])),
    frame("state_export", &[V::Export], &[N::Host], &[N::State], &[]),
    frame("state_query", &[V::Query], &[N::State], &[N::Plugin], &[may("plugin", From::Free)]),
    // The host.
    frame("host_info", LOOK, &[N::Host], &[], &[]),
    frame("host_info", LOOK, &[N::Memory], &[N::Host], &[]),
    frame("host_resources", LOOK, &[N::Resources], &[N::Host, N::Runtime, N::Memory, N::Processor], &[may("since", From::SinceSeconds)]),
    frame("host_resources", &[V::Plot], &[N::Resources, N::Runtime, N::Memory, N::Processor], &[N::Host], &[may("since", From::SinceSeconds)]),
    frame("host_sessions", LOOK, &[N::Session], &[], &[]),
    frame("introspect_sessions", &[V::Inspect], &[N::Session], &[], &[]),
    frame("host_set_hostname", &[V::Set], &[N::Hostname], &[], &[need("hostname", From::Free)]),
    frame("host_set_timezone", &[V::Set], &[N::Timezone], &[N::Host], &[need("timezone", From::Free)]),
    frame("introspect_filesystems", LOOK, &[N::Filesystem], &[N::Host], &[]),
    frame("introspect_hardware", LOOK, &[N::Hardware], &[N::Host], &[]),
    frame("introspect_runtime", LOOK, &[N::Runtime], &[N::Host], &[]),
    frame("introspect_software", LOOK, &[N::Software], &[N::Host, N::Installed], &[]),
    frame("introspect_dbus", LOOK, &[N::Bus], &[], &[]),
    frame("introspect_service", LOOK, &[N::Object], &[N::Bus, N::Unit], SERVICE),
    frame("introspect_service", &[V::Inspect], &[N::Bus], &[N::Object, N::Unit], SERVICE),
    frame("proc_read", &[V::Read, V::Show], &[N::Kernel], &[N::File], &[need("file", From::KernelFile)]),
    frame("process_list", LOOK, &[N::Process], &[N::Host], &[may("limit", From::Limit), may("sort", From::OfNoun(N::Memory, "memory")), may("sort", From::OfNoun(N::Processor, "cpu")), may("user", From::Known(Kind::User))]),
    frame("process_show", LOOK, &[N::Process], &[], &[need("pid", From::Number)]),
    // Packages.
    bare(frame("dbus_packagekit_install_packages", &[V::Install], &[N::Package], &[], PACKAGES)),
    bare(frame("dbus_packagekit_remove_packages", &[V::Uninstall], &[N::Package], &[], PACKAGES)),
    frame("dbus_packagekit_remove_packages", &[V::Delete], &[N::Package], &[], PACKAGES),
    frame("package_update", &[V::Update], &[N::Package], &[N::Installed], &[may("packages", From::List)]),
    bare(frame("package_update", &[V::Update], &[], &[N::Package], PACKAGES)),
    frame("package_refresh", &[V::Refresh], &[N::PackageList], &[N::Package], &[]),
    frame("package_search", &[V::Search], &[N::Package], &[N::PackageList], &[need("query", From::Rest)]),
    frame("package_list_installed", LOOK, &[N::Installed], &[N::Package], &[may("name", From::Behind(Mark::Named))]),
    frame("package_list_installed", LOOK, &[N::Package], &[N::Installed], &[]),
    frame("package_list_updates", LOOK, &[N::Updates], &[N::Package, N::Installed], &[]),
    frame("package_details", LOOK, &[N::Package], &[], PACKAGES),
    // Plugins.
    frame("plugin_list", LOOK, &[N::Plugin], &[], &[]),
    frame("plugin_show", LOOK, &[N::Plugin], &[N::Property], PLUGIN),
    frame("plugin_enable", &[V::Enable], &[N::Plugin], &[], PLUGIN),
    frame("plugin_disable", &[V::Disable], &[N::Plugin], &[], PLUGIN),
    frame("plugin_create", &[V::Create], &[N::Plugin], &[N::Unit, N::Bus], SERVICE),
    frame("plugin_generate", &[V::Generate], &[N::Plugin], &[N::Unit, N::Bus], SERVICE),
    frame("plugin_export", &[V::Export], &[N::Plugin], &[], PLUGIN),
    frame("plugin_import", &[V::Import], &[N::Plugin], &[N::Stream, N::File], PATH),
    frame("plugin_replace", &[V::Replace], &[N::Plugin], &[N::Stream, N::File], PATH),
    // Files, commands, and what the inspector knows.
    frame("file_list", &[V::List], &[N::Directory], &[N::File], PATH),
    frame("file_read", &[V::Show, V::Read], &[N::File], &[], PATH),
    frame("file_list", LOOK, &[N::Directory], &[N::File], PATH),
    frame("file_search", &[V::Search], &[N::File], &[N::Directory], &[need("path", From::Path), may("name", From::Glob), may("text", From::Quoted)]),
    frame("file_write", &[V::Write], &[N::File], &[], &[need("path", From::Path), need("content", From::Quoted)]),
    frame("command_list", LOOK, &[N::Command], &[], &[]),
    frame("command_run", &[V::Run, V::Start], &[N::Command], &[], &[need("name", From::Known(Kind::Command))]),
    frame("inspect_show", LOOK, &[N::Learned], &[], &[need("name", From::Free)]),
    frame("inspect_search", &[V::Search, V::Show, V::List], &[N::Learned], &[], &[may("words", From::Rest)]),
    bare(frame("inspect", &[V::Inspect], &[N::File], &[], &[need("source", From::Source)])),
    bare(frame("inspect_learn", &[V::Learn], &[N::Learned], &[N::File], &[need("name", From::New), need("sources", From::Sources)])),
    frame("inspect_forget", &[V::Forget], &[N::Learned], &[], &[need("name", From::Free)]),
    bare(frame("inspect_validate", &[V::Validate], &[N::Learned], &[N::File], &[need("source", From::Source), need("name", From::Free)])),
    // Tasks.
    frame("agent_list", LOOK, &[N::Agent], &[], &[]),
    frame("task_list", LOOK, &[N::Task], &[N::Agent], &[may("state", From::State)]),
    frame("task_show", LOOK, &[N::Task], &[], ID),
    frame("task_cancel", &[V::Cancel, V::Stop], &[N::Task], &[], ID),
    frame("task_submit", &[V::Submit], &[N::Task], &[N::Agent], &[need("operation", From::Tool)]),
    // The cache.
    frame("cache_stats", LOOK, &[N::Cache], &[], &[]),
    frame("cache_clear", &[V::Clear, V::Delete], &[N::Cache], &[], &[]),
    frame("cache_clean", &[V::Clean], &[N::Cache], &[], &[may("days", From::Beside(Mark::Older))]),

];
