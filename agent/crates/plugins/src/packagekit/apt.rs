//! Debian's package manager: `apt-get`, `apt-cache` and `dpkg-query`.

use std::collections::BTreeMap;

use declaration::PackageName;

use super::error::PackageError;
use super::program::Run;
use super::provider::{Details, Listed, PackageManager, Request, Step, Verb, Watch, permit};

const NAME: &str = "apt";
/// Fields of a package, parted by tabs: what dpkg-query(1) calls a format.
const FORMAT: &str = "--showformat=${Package}\\t${Version}\\t${Architecture}\\t${db:Status-Status}\\t${binary:Summary}\\n";
/// No questions; files that were changed by hand stay; another run of dpkg is waited for.
const OPTIONS: [&str; 8] = [
    "--yes",
    "--quiet",
    "--option",
    "Dpkg::Options::=--force-confdef",
    "--option",
    "Dpkg::Options::=--force-confold",
    "--option",
    "DPkg::Lock::Timeout=120",
];

/// The programs of apt.
pub(super) struct Apt;

/// One line of dpkg-query.
struct Row {
    listed: Listed,
    name: String,
    version: String,
}

fn rows(output: &str) -> Vec<Row> {
    let row = |line: &str| {
        let mut fields = line.split('\t').map(str::to_owned);
        let (name, version, arch) = (fields.next()?, fields.next()?, fields.next()?);
        // One that is half installed, or of which only the configuration is left, is not there.
        if fields.next()? != "installed" {
            return None;
        }
        Some(Row {
            listed: Listed {
                name: name.clone(),
                version: Some(version.clone()),
                arch: Some(arch),
                origin: None,
                summary: fields.next().unwrap_or_default(),
                installed: Some(true),
            },
            name,
            version,
        })
    };
    output.lines().filter_map(row).collect()
}

/// `Inst NAME [OLD] (NEW ORIGIN [ARCH])` and `Remv NAME [OLD]`, as `apt-get --simulate` says it.
fn steps(output: &str) -> Vec<(Step, Listed)> {
    let step = |line: &str| {
        let (word, rest) = line.split_once(' ')?;
        let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        // A foreign architecture is written behind the name.
        let (name, arch) = name.split_once(':').unwrap_or((name, ""));
        let before = rest
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .map(|(version, _)| version.to_owned());
        let inside = rest
            .split_once('(')
            .and_then(|(_, rest)| rest.rsplit_once(')'));
        let inside = inside.map_or("", |(inside, _)| inside);
        let (after, origin) = inside.split_once(' ').unwrap_or((inside, ""));
        let verb = match (word, &before) {
            ("Inst", None) => Verb::Install,
            ("Inst", Some(_)) => Verb::Update,
            ("Remv" | "Purg", _) => Verb::Remove,
            _ => return None,
        };
        let after = Some(after.to_owned()).filter(|version| !version.is_empty());
        let (origin, inner_arch) = origin.rsplit_once(" [").unwrap_or((origin, ""));
        let arch = if arch.is_empty() {
            inner_arch.trim_end_matches(']')
        } else {
            arch
        };
        let listed = Listed {
            name: name.to_owned(),
            version: after.clone(),
            arch: Some(arch.to_owned()).filter(|arch| !arch.is_empty()),
            origin: Some(origin.to_owned()).filter(|origin| !origin.is_empty()),
            summary: String::new(),
            installed: None,
        };
        let step = Step {
            verb,
            name: name.to_owned(),
            before,
            after,
        };
        Some((step, listed))
    };
    output.lines().filter_map(step).collect()
}

/// The arguments that a request stands for.
fn arguments(request: &Request, simulate: bool) -> Run<'static> {
    let mut options = OPTIONS.to_vec();
    if simulate {
        options.push("--simulate");
    }
    let run = |options: &[&str]| match simulate {
        true => Run::look("apt-get", options),
        false => Run::change("apt-get", options),
    };
    match request {
        Request::Install(wanted) => {
            // What a simulation would remove has to be seen, and what is done must not.
            if !simulate {
                options.push("--no-remove");
            }
            if wanted.iter().any(|wanted| wanted.version.is_some()) {
                options.push("--allow-downgrades");
            }
            options.push("install");
            run(&options).names(wanted.iter().map(|wanted| match &wanted.version {
                Some(version) => format!("{}={version}", wanted.name),
                None => wanted.name.to_string(),
            }))
        }
        Request::Remove { names, .. } => {
            options.extend(["--no-auto-remove", "remove"]);
            run(&options).names(names)
        }
        Request::Update(names) if names.is_empty() => {
            options.extend(["--with-new-pkgs", "upgrade"]);
            run(&options)
        }
        Request::Update(names) => {
            if !simulate {
                options.push("--no-remove");
            }
            options.extend(["--only-upgrade", "install"]);
            run(&options).names(names)
        }
    }
}

/// The fields of the paragraphs that `apt-cache show` prints (deb-control(5)).
fn paragraphs(output: &str) -> Vec<BTreeMap<String, String>> {
    let fields = |paragraph: &str| {
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        let mut last = String::new();
        for line in paragraph.lines() {
            if let Some(more) = line.strip_prefix([' ', '\t']) {
                let text = fields.entry(last.clone()).or_default();
                text.push('\n');
                text.push_str(if more == "." { "" } else { more });
            } else if let Some((key, value)) = line.split_once(':') {
                last = key.to_ascii_lowercase();
                fields.insert(last.clone(), value.trim().to_owned());
            }
        }
        fields
    };
    let paragraphs = output.split("\n\n").filter(|text| !text.trim().is_empty());
    paragraphs.map(fields).collect()
}

impl PackageManager for Apt {
    fn name(&self) -> &'static str {
        NAME
    }

    fn installed(
        &self,
        names: &[&PackageName],
        watch: &Watch<'_>,
    ) -> Result<BTreeMap<String, String>, PackageError> {
        // 1 says that some of the names are not known.
        let run = Run::look("dpkg-query", &["--show", FORMAT]);
        let output = run.names(names).good(&[0, 1]).output(watch)?;
        Ok(rows(&output)
            .into_iter()
            .map(|row| (row.name, row.version))
            .collect())
    }

    fn list(&self, watch: &Watch<'_>) -> Result<Vec<Listed>, PackageError> {
        let output = Run::look("dpkg-query", &["--show", FORMAT]).output(watch)?;
        Ok(rows(&output).into_iter().map(|row| row.listed).collect())
    }

    fn updates(
        &self,
        names: &[&PackageName],
        watch: &Watch<'_>,
    ) -> Result<Vec<Listed>, PackageError> {
        let names: Vec<PackageName> = names.iter().map(|name| (*name).clone()).collect();
        let output = arguments(&Request::Update(names.clone()), true).output(watch)?;
        let steps = steps(&output).into_iter();
        let asked =
            |name: &String| names.is_empty() || names.iter().any(|asked| asked.as_str() == name);
        Ok(steps
            .filter(|(step, _)| step.verb == Verb::Update && asked(&step.name))
            .map(|(_, listed)| listed)
            .collect())
    }

    fn search(&self, text: &str, watch: &Watch<'_>) -> Result<Vec<Listed>, PackageError> {
        let output = Run::look("apt-cache", &["search"])
            .names([text])
            .output(watch)?;
        let listed = |line: &str| {
            let (name, summary) = line.split_once(" - ")?;
            Some(Listed {
                name: name.to_owned(),
                summary: summary.to_owned(),
                ..Listed::default()
            })
        };
        Ok(output.lines().filter_map(listed).collect())
    }

    fn details(
        &self,
        names: &[&PackageName],
        watch: &Watch<'_>,
    ) -> Result<Vec<Details>, PackageError> {
        let installed = self.installed(names, watch)?;
        // 100 says that some of the names are not known.
        let run = Run::look("apt-cache", &["--no-all-versions", "show"]);
        let output = run.names(names).good(&[0, 100]).output(watch)?;
        let details = |mut fields: BTreeMap<String, String>| {
            let name = fields.remove("package")?;
            let description = fields
                .remove("description")
                .or_else(|| fields.remove("description-en"));
            let description = description.unwrap_or_default();
            let (summary, description) = description.split_once('\n').unwrap_or((&description, ""));
            let size = fields
                .get("installed-size")
                .and_then(|size| size.parse::<u64>().ok());
            Some(Details {
                description: description.to_owned(),
                url: fields.remove("homepage"),
                license: None,
                size: size.map(|kib| kib.saturating_mul(1024)),
                listed: Listed {
                    installed: Some(installed.contains_key(&name)),
                    version: fields.remove("version"),
                    arch: fields.remove("architecture"),
                    origin: fields.remove("origin"),
                    summary: summary.to_owned(),
                    name,
                },
            })
        };
        Ok(paragraphs(&output)
            .into_iter()
            .filter_map(details)
            .collect())
    }

    fn simulate(&self, request: &Request, watch: &Watch<'_>) -> Result<Vec<Step>, PackageError> {
        let output = arguments(request, true)
            .output(watch)
            .map_err(|error| unknown(request, error))?;
        Ok(steps(&output).into_iter().map(|(step, _)| step).collect())
    }

    fn carry_out(&self, request: &Request, watch: &Watch<'_>) -> Result<(), PackageError> {
        let steps = self.simulate(request, watch)?;
        permit(request, &steps)?;
        if steps.is_empty() {
            return Ok(());
        }
        let hear = |line: &str| {
            let told = ["Get:", "Unpacking ", "Setting up ", "Removing "];
            if told.iter().any(|word| line.starts_with(word)) {
                (watch.progress)(line, None);
            }
        };
        arguments(request, false).follow(watch, hear).map(drop)
    }

    fn refresh(&self, watch: &Watch<'_>) -> Result<(), PackageError> {
        // Without the option a source that cannot be reached is only a warning.
        let options = ["--quiet", "--error-on=any", "update"];
        let hear = |line: &str| (watch.progress)(line, None);
        Run::change("apt-get", &options)
            .follow(watch, hear)
            .map(drop)
    }
}

/// apt's words for a name that it does not know are many; one says what to do.
fn unknown(request: &Request, error: PackageError) -> PackageError {
    let text = error.to_string();
    let says_so = [
        "Unable to locate package",
        "has no installation candidate",
        "was not found",
    ];
    let Request::Install(wanted) = request else {
        return error;
    };
    match says_so.iter().any(|words| text.contains(words)) {
        true => PackageError::NotFound(
            wanted
                .iter()
                .map(|wanted| match &wanted.version {
                    Some(version) => format!("{} {version}", wanted.name),
                    None => wanted.name.to_string(),
                })
                .collect::<Vec<_>>()
                .join(" or "),
        ),
        false => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulation_says_what_comes_and_goes() {
        let said = "Reading package lists...\n\
            Remv telnet [0.17+2.4-2+deb12u2]\n\
            Inst nginx-common (1.22.1-9+deb12u3 Debian:12.12/oldstable, Debian-Security:12 [all])\n\
            Inst nginx [1.20] (1.22.1-9+deb12u3 Debian:12.12/oldstable [amd64])\n\
            Inst libc6:i386 (2.36 Debian:12 [i386])\n\
            Conf nginx (1.22.1-9+deb12u3 Debian:12.12/oldstable [amd64])\n";
        let steps = steps(said);
        let told: Vec<_> = steps
            .iter()
            .map(|(step, _)| {
                (
                    step.verb,
                    step.name.as_str(),
                    step.before.as_deref(),
                    step.after.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (Verb::Remove, "telnet", Some("0.17+2.4-2+deb12u2"), None),
                (
                    Verb::Install,
                    "nginx-common",
                    None,
                    Some("1.22.1-9+deb12u3")
                ),
                (
                    Verb::Update,
                    "nginx",
                    Some("1.20"),
                    Some("1.22.1-9+deb12u3")
                ),
                (Verb::Install, "libc6", None, Some("2.36")),
            ]
        );
        assert_eq!(steps[2].1.arch.as_deref(), Some("amd64"));
        assert_eq!(steps[2].1.origin.as_deref(), Some("Debian:12.12/oldstable"));
    }

    #[test]
    fn what_is_half_installed_is_not_there() {
        let rows = rows(
            "a\t1\tamd64\tinstalled\tA thing\nb\t2\tall\tconfig-files\tB\nc\t3\tall\thalf-configured\tC\nd\t\t\tnot-installed\t\n",
        );
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (rows[0].name.as_str(), rows[0].version.as_str()),
            ("a", "1")
        );
    }

    #[test]
    fn names_come_behind_two_dashes() {
        let request = Request::Install(vec![super::super::Wanted {
            name: "nginx".parse().unwrap(),
            version: Some("1.2-3".parse().unwrap()),
        }]);
        let run = arguments(&request, false);
        let place = run.arguments.iter().position(|one| one == "--").unwrap();
        assert_eq!(run.arguments[place + 1..], ["nginx=1.2-3"]);
        assert!(run.arguments.contains(&"--no-remove".to_owned()));
        assert!(!run.may_be_killed);
    }

    #[test]
    fn paragraphs_have_folded_fields() {
        let fields =
            &paragraphs("Package: a\nDescription-en: short\n long\n .\n more\nVersion: 1\n\n")[0];
        assert_eq!(fields["description-en"], "short\nlong\n\nmore");
        assert_eq!(fields["version"], "1");
    }
}
