//! Fedora's package manager: `dnf` and `rpm`.

use std::collections::BTreeMap;

use declaration::PackageName;

use super::error::PackageError;
use super::program::Run;
use super::provider::{Details, Listed, PackageManager, Request, Step, Verb, Watch, permit};

const NAME: &str = "dnf";
/// Fields of an installed package, parted by tabs; the epoch only where there is one (rpm(8)).
const FORMAT: &str = "--queryformat=%{NAME}\\t%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\\t%{ARCH}\\t%{SUMMARY}\\n";
/// The same fields of a package that could be installed (dnf repoquery).
const AVAILABLE: &str = "--queryformat=%{name}\\t%{evr}\\t%{arch}\\t%{summary}\\t%{repoid}\\n";

/// The programs of dnf.
pub(super) struct Dnf;

fn rows(output: &str, installed: Option<bool>) -> Vec<Listed> {
    let row = |line: &str| {
        let mut fields = line.split('\t').map(str::to_owned);
        Some(Listed {
            name: fields.next()?,
            version: fields
                .next()
                .map(|version| version.trim_start_matches("0:").to_owned()),
            arch: Some(fields.next()?),
            summary: fields.next()?,
            origin: fields.next(),
            installed,
        })
    };
    output.lines().filter_map(row).collect()
}

/// `NAME.ARCH  VERSION  REPOSITORY`, as `dnf check-update` says it, up to what is made obsolete.
fn updates(output: &str) -> Vec<Listed> {
    let lines = output
        .lines()
        .take_while(|line| !line.starts_with("Obsoleting"));
    let row = |line: &str| {
        let mut fields = line.split_whitespace();
        let (name, version, origin) = (fields.next()?, fields.next()?, fields.next()?);
        let (name, arch) = name.rsplit_once('.')?;
        fields.next().is_none().then(|| Listed {
            name: name.to_owned(),
            version: Some(version.to_owned()),
            arch: Some(arch.to_owned()),
            origin: Some(origin.to_owned()),
            ..Listed::default()
        })
    };
    lines.filter_map(row).collect()
}

/// The names behind `… is needed by (installed) NAME-VERSION-RELEASE.ARCH`, as `rpm --erase --test` says it.
fn dependents(told: &str) -> Vec<String> {
    let name = |line: &str| {
        let (_, package) = line.split_once("is needed by (installed) ")?;
        let mut parts = package.trim().trim_end_matches(';').rsplitn(3, '-');
        let (_, _) = (parts.next()?, parts.next()?);
        parts.next().map(str::to_owned)
    };
    let mut names: Vec<_> = told.split(['\n', ';']).filter_map(name).collect();
    names.sort();
    names.dedup();
    names
}

fn arguments(request: &Request) -> Run<'static> {
    match request {
        Request::Install(wanted) => {
            let names = wanted.iter().map(|wanted| match &wanted.version {
                Some(version) => format!("{}-{version}", wanted.name),
                None => wanted.name.to_string(),
            });
            Run::change("dnf", &["--assumeyes", "install"]).names(names)
        }
        Request::Remove { names, .. } => {
            Run::change("dnf", &["--assumeyes", "--noautoremove", "remove"]).names(names)
        }
        Request::Update(names) => Run::change("dnf", &["--assumeyes", "upgrade"]).names(names),
    }
}

impl PackageManager for Dnf {
    fn name(&self) -> &'static str {
        NAME
    }

    fn installed(
        &self,
        names: &[&PackageName],
        watch: &Watch<'_>,
    ) -> Result<BTreeMap<String, String>, PackageError> {
        // The status is the number of names that are not known; what is not a row is a sentence about them.
        let unknown: Vec<i32> = (0..=255).collect();
        let run = Run::look("rpm", &["--query", FORMAT]).names(names);
        let output = run.good(&unknown).output(watch)?;
        let rows = rows(&output, Some(true)).into_iter();
        Ok(rows
            .filter_map(|row| Some((row.name, row.version?)))
            .collect())
    }

    fn list(&self, watch: &Watch<'_>) -> Result<Vec<Listed>, PackageError> {
        let output = Run::look("rpm", &["--query", "--all", FORMAT]).output(watch)?;
        Ok(rows(&output, Some(true)))
    }

    fn updates(
        &self,
        names: &[&PackageName],
        watch: &Watch<'_>,
    ) -> Result<Vec<Listed>, PackageError> {
        // 100 says that there are some.
        let run = Run::look("dnf", &["--quiet", "check-update"]).names(names);
        Ok(updates(&run.good(&[0, 100]).output(watch)?))
    }

    fn search(&self, text: &str, watch: &Watch<'_>) -> Result<Vec<Listed>, PackageError> {
        let pattern = format!("*{text}*");
        let run = Run::look(
            "dnf",
            &["--quiet", "repoquery", "--latest-limit=1", AVAILABLE],
        );
        Ok(rows(&run.names([pattern]).output(watch)?, None))
    }

    fn details(
        &self,
        names: &[&PackageName],
        watch: &Watch<'_>,
    ) -> Result<Vec<Details>, PackageError> {
        let installed = self.installed(names, watch)?;
        let run = Run::look(
            "dnf",
            &["--quiet", "repoquery", "--latest-limit=1", AVAILABLE],
        );
        let found = rows(&run.names(names).output(watch)?, None).into_iter();
        let details = |listed: Listed| Details {
            listed: Listed {
                installed: Some(installed.contains_key(&listed.name)),
                ..listed
            },
            ..Details::default()
        };
        Ok(found.map(details).collect())
    }

    fn simulate(&self, request: &Request, watch: &Watch<'_>) -> Result<Vec<Step>, PackageError> {
        match request {
            Request::Remove { names, .. } => {
                let list: Vec<_> = names.iter().collect();
                let there = self.installed(&list, watch)?;
                if there.is_empty() {
                    return Ok(Vec::new());
                }
                let test = Run::look("rpm", &["--erase", "--test"]).names(there.keys());
                let others = match test.output(watch) {
                    Ok(_) => Vec::new(),
                    Err(error) => match dependents(&error.to_string()) {
                        names if names.is_empty() => return Err(error),
                        names => names,
                    },
                };
                let gone = there
                    .into_iter()
                    .map(|(name, version)| (name, Some(version)));
                let others = others.into_iter().map(|name| (name, None));
                let step = |(name, before)| Step {
                    verb: Verb::Remove,
                    name,
                    before,
                    after: None,
                };
                Ok(gone.chain(others).map(step).collect())
            }
            Request::Install(wanted) => {
                let names: Vec<_> = wanted.iter().map(|wanted| &wanted.name).collect();
                let there = self.installed(&names, watch)?;
                let step = |wanted: &super::Wanted| {
                    let before = there.get(wanted.name.as_str()).cloned();
                    let after = wanted.version.as_ref().map(ToString::to_string);
                    if before.is_some() && (after.is_none() || before == after) {
                        return None;
                    }
                    Some(Step {
                        verb: if before.is_some() {
                            Verb::Update
                        } else {
                            Verb::Install
                        },
                        name: wanted.name.to_string(),
                        before,
                        after,
                    })
                };
                Ok(wanted.iter().filter_map(step).collect())
            }
            Request::Update(names) => {
                let names: Vec<_> = names.iter().collect();
                let found = self.updates(&names, watch)?.into_iter();
                let step = |listed: Listed| Step {
                    verb: Verb::Update,
                    name: listed.name,
                    before: None,
                    after: listed.version,
                };
                Ok(found.map(step).collect())
            }
        }
    }

    fn carry_out(&self, request: &Request, watch: &Watch<'_>) -> Result<(), PackageError> {
        let steps = self.simulate(request, watch)?;
        permit(request, &steps)?;
        if steps.is_empty() {
            return Ok(());
        }
        let hear = |line: &str| {
            let told = [
                "Installing",
                "Upgrading",
                "Erasing",
                "Downgrading",
                "[",
                "(",
            ];
            if told.iter().any(|word| line.trim_start().starts_with(word)) {
                (watch.progress)(line.trim(), None);
            }
        };
        arguments(request).follow(watch, hear).map(drop)
    }

    fn refresh(&self, watch: &Watch<'_>) -> Result<(), PackageError> {
        Run::change("dnf", &["--quiet", "--refresh", "makecache"])
            .output(watch)
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rpm_and_dnf_say_is_read() {
        let installed = rows(
            "bash\t5.2.26-3.fc40\tx86_64\tThe shell\npackage nginx is not installed\nbind\t32:9.18-1\tx86_64\tDNS\n",
            Some(true),
        );
        let told: Vec<_> = installed
            .iter()
            .map(|row| (row.name.as_str(), row.version.as_deref()))
            .collect();
        assert_eq!(
            told,
            [("bash", Some("5.2.26-3.fc40")), ("bind", Some("32:9.18-1"))]
        );
        let found = updates(
            "\nkernel-core.x86_64   6.9.5-200.fc40   updates\nObsoleting Packages\na.noarch 1 u\n",
        );
        assert_eq!((found.len(), found[0].name.as_str()), (1, "kernel-core"));
        let told = "error: Failed dependencies:\n\tlibfoo.so()(64bit) is needed by (installed) bar-tools-1.0-2.fc40.x86_64\n\
            \tfoo = 1 is needed by (installed) bar-tools-1.0-2.fc40.x86_64";
        assert_eq!(dependents(told), ["bar-tools"]);
    }
}
