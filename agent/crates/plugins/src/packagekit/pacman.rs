//! Arch Linux's package manager: `pacman`.

use std::collections::BTreeMap;

use declaration::PackageName;

use super::error::PackageError;
use super::program::Run;
use super::provider::{Details, Listed, PackageManager, Request, Step, Verb, Watch, permit};

const NAME: &str = "pacman";

/// The program of pacman. It knows one version of each package: that of its lists.
pub(super) struct Pacman;

/// `NAME VERSION` in each line, or `NAME OLD -> NEW`.
fn rows(output: &str) -> Vec<(String, String)> {
    let row = |line: &str| {
        let mut fields = line.split_whitespace();
        let (name, version) = (fields.next()?, fields.next()?);
        Some((name.to_owned(), fields.nth(1).unwrap_or(version).to_owned()))
    };
    output.lines().filter_map(row).collect()
}

/// `REPOSITORY/NAME VERSION …` and an indented summary below, as `pacman -Ss` says it.
fn found(output: &str) -> Vec<Listed> {
    let mut list: Vec<Listed> = Vec::new();
    for line in output.lines() {
        if line.starts_with(' ') {
            if let Some(last) = list.last_mut() {
                last.summary = line.trim().to_owned();
            }
        } else if let Some((origin, rest)) = line.split_once('/') {
            let mut fields = rest.split_whitespace();
            list.push(Listed {
                name: fields.next().unwrap_or_default().to_owned(),
                version: fields.next().map(str::to_owned),
                origin: Some(origin.to_owned()),
                installed: Some(rest.contains("[installed")),
                ..Listed::default()
            });
        }
    }
    list
}

fn listed((name, version): (String, String), installed: Option<bool>) -> Listed {
    Listed {
        name,
        version: Some(version),
        installed,
        ..Listed::default()
    }
}

impl Pacman {
    fn query(
        &self,
        arguments: &[&str],
        names: &[&PackageName],
        watch: &Watch<'_>,
    ) -> Result<String, PackageError> {
        // 1 says that some of the names are not known.
        let run = Run::look("pacman", arguments);
        let run = if names.is_empty() {
            run
        } else {
            run.names(names)
        };
        run.good(&[0, 1]).output(watch)
    }
}

impl PackageManager for Pacman {
    fn name(&self) -> &'static str {
        NAME
    }

    fn installed(
        &self,
        names: &[&PackageName],
        watch: &Watch<'_>,
    ) -> Result<BTreeMap<String, String>, PackageError> {
        Ok(rows(&self.query(&["--query"], names, watch)?)
            .into_iter()
            .collect())
    }

    fn list(&self, watch: &Watch<'_>) -> Result<Vec<Listed>, PackageError> {
        let rows = rows(&self.query(&["--query"], &[], watch)?).into_iter();
        Ok(rows.map(|row| listed(row, Some(true))).collect())
    }

    fn updates(
        &self,
        names: &[&PackageName],
        watch: &Watch<'_>,
    ) -> Result<Vec<Listed>, PackageError> {
        let rows = rows(&self.query(&["--query", "--upgrades"], names, watch)?).into_iter();
        Ok(rows.map(|row| listed(row, Some(true))).collect())
    }

    fn search(&self, text: &str, watch: &Watch<'_>) -> Result<Vec<Listed>, PackageError> {
        let run = Run::look("pacman", &["--sync", "--search"]).names([text]);
        Ok(found(&run.good(&[0, 1]).output(watch)?))
    }

    fn details(
        &self,
        names: &[&PackageName],
        watch: &Watch<'_>,
    ) -> Result<Vec<Details>, PackageError> {
        let known = found(&self.query(&["--sync", "--search"], &[], watch)?).into_iter();
        let asked = known.filter(|one| names.iter().any(|name| name.as_str() == one.name));
        let details = |listed| Details {
            listed,
            ..Details::default()
        };
        Ok(asked.map(details).collect())
    }

    fn simulate(&self, request: &Request, watch: &Watch<'_>) -> Result<Vec<Step>, PackageError> {
        let print = ["--print", "--print-format", "%n %v"];
        let (verb, run) = match request {
            Request::Install(wanted) => {
                if let Some(pinned) = wanted.iter().find(|wanted| wanted.version.is_some()) {
                    let what = format!("pacman installs no chosen version of {}", pinned.name);
                    return Err(PackageError::unavailable(what, "leave `version` out"));
                }
                let names = wanted.iter().map(|wanted| &wanted.name);
                let run = Run::look("pacman", &["--sync", "--needed", "--noconfirm"]);
                (Verb::Install, with(run, &print).names(names))
            }
            // What depends on them is shown as well.
            Request::Remove { names, .. } => {
                let list: Vec<_> = names.iter().collect();
                let there = self.installed(&list, watch)?;
                if there.is_empty() {
                    return Ok(Vec::new());
                }
                let run = Run::look("pacman", &["--remove", "--cascade", "--noconfirm"]);
                (Verb::Remove, with(run, &print).names(there.keys()))
            }
            Request::Update(names) => {
                let run = Run::look("pacman", &["--sync", "--needed", "--noconfirm"]);
                match names.is_empty() {
                    true => (Verb::Update, with(with(run, &["--sysupgrade"]), &print)),
                    false => (Verb::Update, with(run, &print).names(names)),
                }
            }
        };
        let rows = rows(&run.output(watch)?).into_iter();
        let step = |(name, version)| match verb {
            Verb::Remove => Step {
                verb,
                name,
                before: Some(version),
                after: None,
            },
            Verb::Install | Verb::Update => Step {
                verb,
                name,
                before: None,
                after: Some(version),
            },
        };
        Ok(rows.map(step).collect())
    }

    fn carry_out(&self, request: &Request, watch: &Watch<'_>) -> Result<(), PackageError> {
        let steps = self.simulate(request, watch)?;
        permit(request, &steps)?;
        if steps.is_empty() {
            return Ok(());
        }
        let run = match request {
            Request::Install(wanted) => {
                Run::change("pacman", &["--sync", "--needed", "--noconfirm"])
                    .names(wanted.iter().map(|wanted| &wanted.name))
            }
            Request::Remove { .. } => Run::change("pacman", &["--remove", "--noconfirm"])
                .names(steps.iter().map(|step| &step.name)),
            Request::Update(names) if names.is_empty() => {
                Run::change("pacman", &["--sync", "--sysupgrade", "--noconfirm"])
            }
            Request::Update(names) => {
                Run::change("pacman", &["--sync", "--needed", "--noconfirm"]).names(names)
            }
        };
        run.follow(watch, |line| (watch.progress)(line, None))
            .map(drop)
    }

    fn refresh(&self, watch: &Watch<'_>) -> Result<(), PackageError> {
        Run::change("pacman", &["--sync", "--refresh", "--noconfirm"])
            .output(watch)
            .map(drop)
    }
}

fn with(mut run: Run<'static>, arguments: &[&str]) -> Run<'static> {
    run.arguments
        .extend(arguments.iter().map(|one| (*one).to_owned()));
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pacman_says_is_read() {
        assert_eq!(
            rows("bash 5.2-1\nnginx 1.0-1 -> 1.2-1\n"),
            [
                ("bash".to_owned(), "5.2-1".to_owned()),
                ("nginx".to_owned(), "1.2-1".to_owned()),
            ]
        );
        let list = found(
            "extra/nginx 1.26.1-1 [installed]\n    A server\ncore/bash 5.2-1\n    The shell\n",
        );
        assert_eq!(list.len(), 2);
        assert_eq!(
            (list[0].name.as_str(), list[0].summary.as_str()),
            ("nginx", "A server")
        );
        assert_eq!(list[0].installed, Some(true));
    }
}
