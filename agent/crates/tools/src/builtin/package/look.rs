//! Looking at packages.

use declaration::PackageName;
use plugins::packagekit::PackageManager;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Names, ask, manager, names};
use crate::call::Call;
use crate::error::ToolError;
use crate::page::{Page, page};
use crate::tool::{Domain, Tool};

#[derive(Deserialize, JsonSchema)]
struct Search {
    /// What the name has in it; apt also looks into descriptions.
    #[schemars(length(min = 1, max = 128))]
    query: String,
    #[serde(flatten)]
    page: Page,
}

#[derive(Deserialize, JsonSchema)]
struct Installed {
    /// Only packages whose name has this part.
    #[serde(default)]
    #[schemars(length(min = 1, max = 128))]
    name: Option<String>,
    #[serde(flatten)]
    page: Page,
}

#[derive(Deserialize, JsonSchema)]
struct Updates {
    #[serde(flatten)]
    page: Page,
}
#[derive(Serialize, JsonSchema)]
struct List {
    /// The package manager that was asked.
    manager: &'static str,
    /// The packages, by name.
    packages: Vec<Listed>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A package. What the package manager does not tell is null.
#[derive(Serialize, JsonSchema)]
struct Listed {
    /// Its name.
    name: String,
    /// Its version.
    version: Option<String>,
    /// The architecture.
    arch: Option<String>,
    /// Where it comes from.
    origin: Option<String>,
    /// What it is, in a line.
    summary: String,
    /// Whether it is installed.
    installed: Option<bool>,
}

#[derive(Serialize, JsonSchema)]
struct DetailList {
    /// The package manager that was asked.
    manager: &'static str,
    /// The packages that it knows.
    packages: Vec<Details>,
    /// The names that it does not know.
    unknown: Vec<String>,
}

/// A package in full. What the package manager does not tell is null.
#[derive(Serialize, JsonSchema)]
struct Details {
    /// What a list shows of it.
    #[serde(flatten)]
    listed: Listed,
    /// What it is, at length.
    description: String,
    /// The page about it.
    url: Option<String>,
    /// Its licence.
    license: Option<String>,
    /// Its size in bytes, installed or as a download.
    size_bytes: Option<u64>,
}
pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Packages;
    vec![
        Tool::read(
            domain,
            "package_search",
            "Search packages",
            "Searches the package lists of the host by name.",
            search,
        )
.says(&["search packages for htop", "find a package for zstd"])
        .example(json!({ "query": "nginx" })),
        Tool::read(
            domain,
            "package_details",
            "Show packages",
            "Shows packages in full: version, origin, description, page, licence and size.",
            details,
        )
.says(&["details of package curl", "show package curl"])
        .example(json!({ "packages": ["nginx"] })),
        Tool::read(
            domain,
            "package_list_updates",
            "List updates",
            "Lists the installed packages of which the package lists know a newer version, with that version. \
             `package_refresh` fetches newer lists.",
            updates,
        )
.says(&["are there any updates?", "list outdated packages"]),
        Tool::read(
            domain,
            "package_list_installed",
            "List installed packages",
            "Lists the installed packages, by name.",
            installed,
        )
.says(&["which packages are installed?", "list installed packages"])
        .example(json!({ "name": "nginx" })),
    ]
}

fn listed(listed: plugins::packagekit::Listed) -> Listed {
    Listed {
        name: listed.name,
        version: listed.version,
        arch: listed.arch,
        origin: listed.origin,
        summary: listed.summary,
        installed: listed.installed,
    }
}

fn list(
    manager: &dyn PackageManager,
    mut found: Vec<plugins::packagekit::Listed>,
    cut: &Page,
) -> Result<List, ToolError> {
    found.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    let (found, next_cursor) = page(found, cut)?;
    Ok(List {
        manager: manager.name(),
        packages: found.into_iter().map(listed).collect(),
        next_cursor,
    })
}

fn search(call: &Call<'_>, input: Search) -> Result<List, ToolError> {
    let good = |c: char| c.is_alphanumeric() || " +-._".contains(c);
    if !input.query.chars().all(good) || input.query.starts_with('-') {
        return Err(ToolError::Invalid(
            "`query` is a part of a name: letters, digits, spaces, `+`, `-`, `.` and `_`"
                .to_owned(),
        ));
    }
    let manager = manager(call)?;
    let found = ask(call, manager.as_ref(), |manager, watch| {
        manager.search(&input.query, watch)
    })?;
    list(manager.as_ref(), found, &input.page)
}

fn updates(call: &Call<'_>, input: Updates) -> Result<List, ToolError> {
    let manager = manager(call)?;
    let found = ask(call, manager.as_ref(), |manager, watch| {
        manager.updates(&[], watch)
    })?;
    list(manager.as_ref(), found, &input.page)
}

fn installed(call: &Call<'_>, input: Installed) -> Result<List, ToolError> {
    let manager = manager(call)?;
    let mut found = ask(call, manager.as_ref(), |manager, watch| manager.list(watch))?;
    if let Some(part) = &input.name {
        found.retain(|listed| listed.name.contains(part.as_str()));
    }
    list(manager.as_ref(), found, &input.page)
}

fn details(call: &Call<'_>, input: Names) -> Result<DetailList, ToolError> {
    let names = names(&input.packages)?;
    let manager = manager(call)?;
    let asked: Vec<_> = names.iter().collect();
    let found = ask(call, manager.as_ref(), |manager, watch| {
        manager.details(&asked, watch)
    })?;
    let is_known = |name: &&PackageName| found.iter().any(|one| one.listed.name == name.as_str());
    let unknown = names.iter().filter(|name| !is_known(name));
    let unknown = unknown.map(PackageName::to_string).collect();
    let details = |details: plugins::packagekit::Details| Details {
        listed: listed(details.listed),
        description: details.description,
        url: details.url,
        license: details.license,
        size_bytes: details.size,
    };
    Ok(DetailList {
        manager: manager.name(),
        packages: found.into_iter().map(details).collect(),
        unknown,
    })
}
