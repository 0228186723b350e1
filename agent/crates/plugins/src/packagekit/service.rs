//! PackageKit (org.freedesktop.PackageKit), whatever package manager is behind it.

use std::collections::BTreeMap;
use std::time::Duration;

use dbus::{Bus, DynamicType};
use declaration::{PackageName, PackageVersion};
use serde::Serialize;

use super::error::PackageError;
use super::provider::{
    Details, Listed, PackageManager, Request, Step, Verb, Wanted, Watch, permit,
};
use super::transaction::{NAME, Named, PackageId, Said, run};

/// How long a query may be silent.
const QUERY: Duration = Duration::from_secs(120);
/// How long a change may be silent: scripts of packages take their time.
const CHANGE: Duration = Duration::from_secs(900);

/// Bits of `PkFilterEnum`.
const NONE: u64 = 1 << 1;
const INSTALLED: u64 = 1 << 2;
const NOT_INSTALLED: u64 = 1 << 3;
const NEWEST: u64 = 1 << 16;
const NATIVE: u64 = 1 << 18;

/// Bits of `PkTransactionFlagEnum`.
const ONLY_TRUSTED: u64 = 1 << 1;
const SIMULATE: u64 = 1 << 2;
const ALLOW_DOWNGRADE: u64 = 1 << 6;

/// PackageKit on the system bus.
pub(super) struct PackageKit {
    bus: Bus,
}

impl PackageKit {
    /// Finds PackageKit and starts it where it is not running; `None` if the host has none.
    pub(super) fn connect() -> Result<Option<Self>, dbus::Error> {
        let bus = Bus::system()?;
        if !bus.offers(NAME)? {
            return Ok(None);
        }
        bus.owner(NAME)?;
        Ok(Some(Self { bus }))
    }

    fn query<B: Serialize + DynamicType>(
        &self,
        method: &str,
        arguments: &B,
        watch: &Watch<'_>,
    ) -> Result<Said, PackageError> {
        run(&self.bus, method, arguments, QUERY, watch)
    }

    /// The ids of packages, by exactly these names.
    fn resolve(
        &self,
        filter: u64,
        names: &[&PackageName],
        watch: &Watch<'_>,
    ) -> Result<Vec<PackageId>, PackageError> {
        let texts: Vec<_> = names.iter().map(|name| name.as_str()).collect();
        let said = self.query("Resolve", &(filter, texts), watch)?;
        let ids = said
            .packages
            .iter()
            .filter_map(|named| PackageId::read(&named.id));
        Ok(ids
            .filter(|id| names.iter().any(|name| name.as_str() == id.name))
            .collect())
    }

    /// The id of what is to be installed; nothing if it is there.
    fn choose(
        &self,
        wanted: &Wanted,
        installed: &BTreeMap<String, String>,
        watch: &Watch<'_>,
    ) -> Result<Option<String>, PackageError> {
        let there = installed.get(wanted.name.as_str());
        let is_so = match &wanted.version {
            Some(version) => there.is_some_and(|there| there == version.as_str()),
            None => there.is_some(),
        };
        if is_so {
            return Ok(None);
        }
        let filter = match wanted.version {
            Some(_) => NOT_INSTALLED | NATIVE,
            None => NOT_INSTALLED | NATIVE | NEWEST,
        };
        let ids = self.resolve(filter, &[&wanted.name], watch)?;
        let fits = |id: &&PackageId| {
            wanted
                .version
                .as_ref()
                .is_none_or(|version| id.version == version.as_str())
        };
        match ids.iter().find(fits) {
            Some(id) => Ok(Some(id.text())),
            None => Err(PackageError::NotFound(match &wanted.version {
                Some(version) => format!("{} {version}", wanted.name),
                None => wanted.name.to_string(),
            })),
        }
    }

    /// Makes a change, or says what it would do.
    fn request(
        &self,
        request: &Request,
        flags: u64,
        watch: &Watch<'_>,
    ) -> Result<Said, PackageError> {
        let run = |method: &str, ids: &[String], flags: u64| match ids.is_empty() {
            true => Ok(Said::default()),
            false => run(&self.bus, method, &(flags, ids), CHANGE, watch),
        };
        match request {
            Request::Install(wanted) => {
                let names: Vec<_> = wanted.iter().map(|wanted| &wanted.name).collect();
                let installed = self.installed(&names, watch)?;
                let ids = wanted
                    .iter()
                    .map(|wanted| self.choose(wanted, &installed, watch));
                let ids: Vec<_> = ids
                    .filter_map(Result::transpose)
                    .collect::<Result<_, _>>()?;
                let pinned = wanted.iter().any(|wanted| wanted.version.is_some());
                let downgrade = if pinned { ALLOW_DOWNGRADE } else { 0 };
                run("InstallPackages", &ids, flags | ONLY_TRUSTED | downgrade)
            }
            Request::Remove { names, .. } => {
                let names: Vec<_> = names.iter().collect();
                let ids = self.resolve(INSTALLED, &names, watch)?;
                let ids: Vec<_> = ids.iter().map(PackageId::text).collect();
                match ids.is_empty() {
                    true => Ok(Said::default()),
                    // What goes along was looked at before.
                    false => {
                        let arguments = (flags, ids, true, false);
                        super::transaction::run(
                            &self.bus,
                            "RemovePackages",
                            &arguments,
                            CHANGE,
                            watch,
                        )
                    }
                }
            }
            Request::Update(names) => {
                let names: Vec<_> = names.iter().collect();
                let ids = self.updatable(&names, watch)?;
                let ids: Vec<_> = ids.iter().map(|(id, _)| id.text()).collect();
                run("UpdatePackages", &ids, flags | ONLY_TRUSTED)
            }
        }
    }

    fn updatable(
        &self,
        names: &[&PackageName],
        watch: &Watch<'_>,
    ) -> Result<Vec<(PackageId, Named)>, PackageError> {
        let said = self.query("GetUpdates", &(NONE,), watch)?;
        let named = said.packages.into_iter();
        let ids = named.filter_map(|named| Some((PackageId::read(&named.id)?, named)));
        let asked =
            |id: &PackageId| names.is_empty() || names.iter().any(|name| name.as_str() == id.name);
        // 9 stands for an update that is held back.
        Ok(ids
            .filter(|(id, named)| asked(id) && named.info != 9)
            .collect())
    }
}

impl PackageManager for PackageKit {
    fn name(&self) -> &'static str {
        "PackageKit"
    }

    fn installed(
        &self,
        names: &[&PackageName],
        watch: &Watch<'_>,
    ) -> Result<BTreeMap<String, String>, PackageError> {
        let ids = self.resolve(INSTALLED, names, watch)?;
        Ok(ids.into_iter().map(|id| (id.name, id.version)).collect())
    }

    fn list(&self, watch: &Watch<'_>) -> Result<Vec<Listed>, PackageError> {
        let said = self.query("GetPackages", &(INSTALLED,), watch)?;
        Ok(said.packages.iter().filter_map(listed).collect())
    }

    fn updates(
        &self,
        names: &[&PackageName],
        watch: &Watch<'_>,
    ) -> Result<Vec<Listed>, PackageError> {
        let ids = self.updatable(names, watch)?;
        Ok(ids.iter().filter_map(|(_, named)| listed(named)).collect())
    }

    fn search(&self, text: &str, watch: &Watch<'_>) -> Result<Vec<Listed>, PackageError> {
        let said = self.query("SearchNames", &(NEWEST, [text].as_slice()), watch)?;
        Ok(said.packages.iter().filter_map(listed).collect())
    }

    fn details(
        &self,
        names: &[&PackageName],
        watch: &Watch<'_>,
    ) -> Result<Vec<Details>, PackageError> {
        let ids: Vec<_> = self.resolve(NEWEST, names, watch)?;
        let ids: Vec<_> = ids.iter().map(PackageId::text).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let said = self.query("GetDetails", &(ids,), watch)?;
        Ok(said.details.iter().filter_map(details).collect())
    }

    fn simulate(&self, request: &Request, watch: &Watch<'_>) -> Result<Vec<Step>, PackageError> {
        let said = self.request(request, SIMULATE, watch)?;
        let steps: Vec<Option<Step>> = said.packages.iter().map(step).collect::<Result<_, _>>()?;
        let mut steps: Vec<_> = steps.into_iter().flatten().collect();
        // Backends leave out what was asked for by name.
        if let Request::Remove { names, .. } = request {
            let names: Vec<_> = names.iter().collect();
            for (name, version) in self.installed(&names, watch)? {
                if !steps.iter().any(|step| step.name == name) {
                    steps.push(Step {
                        verb: Verb::Remove,
                        name,
                        before: Some(version),
                        after: None,
                    });
                }
            }
        }
        Ok(steps)
    }

    fn carry_out(&self, request: &Request, watch: &Watch<'_>) -> Result<(), PackageError> {
        permit(request, &self.simulate(request, watch)?)?;
        self.request(request, 0, watch).map(drop)
    }

    fn refresh(&self, watch: &Watch<'_>) -> Result<(), PackageError> {
        run(&self.bus, "RefreshCache", &(true,), CHANGE, watch).map(drop)
    }
}

/// What a simulation says of a package; nothing where it says only that it looks at it.
fn step(named: &Named) -> Result<Option<Step>, PackageError> {
    // `PkInfoEnum`: updating, installing, removing, obsoleting, reinstalling, downgrading.
    let verb = match named.info {
        11 | 19 | 20 => Verb::Update,
        12 => Verb::Install,
        13 | 15 => Verb::Remove,
        _ => return Ok(None),
    };
    let Some(id) = PackageId::read(&named.id) else {
        // Passing it over could hide that it goes.
        let reason = format!("it names a package by an id that is none: {:?}", named.id);
        return Err(PackageError::failed("PackageKit", reason));
    };
    let version = Some(id.version).filter(|version| version.parse::<PackageVersion>().is_ok());
    let (before, after) = match verb {
        Verb::Remove => (version, None),
        Verb::Install | Verb::Update => (None, version),
    };
    Ok(Some(Step {
        verb,
        name: id.name,
        before,
        after,
    }))
}

fn listed(named: &Named) -> Option<Listed> {
    let id = PackageId::read(&named.id)?;
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    Some(Listed {
        name: id.name,
        version: some(id.version),
        arch: some(id.arch),
        installed: Some(named.info == 1 || id.data.starts_with("installed")),
        origin: some(id.data),
        summary: named.summary.clone(),
    })
}

fn details(properties: &dbus::Properties) -> Option<Details> {
    let text = |name: &str| {
        let value = dbus::json(properties.get(name)?);
        let text = value.as_str()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let named = Named {
        info: 0,
        id: text("package-id")?,
        summary: text("summary").unwrap_or_default(),
    };
    Some(Details {
        listed: listed(&named)?,
        description: text("description").unwrap_or_default(),
        url: text("url"),
        license: text("license").filter(|license| license != "unknown"),
        size: properties
            .get("size")
            .and_then(|size| dbus::json(size).as_u64()),
    })
}
