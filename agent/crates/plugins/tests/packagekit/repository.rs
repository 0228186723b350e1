//! A Debian repository of a few packages that hold next to nothing.

use std::fs;
use std::path::{Path, PathBuf};

use lab::{run, text};

pub(crate) struct Repository(PathBuf);

impl Repository {
    /// The packages `op-app` in the versions 1.0 and 2.0, and `op-lib`, which `op-app` needs.
    pub(crate) fn new(dir: PathBuf) -> Self {
        fs::create_dir_all(&dir).unwrap();
        let repository = Self(dir);
        repository.add("op-lib", "1.0", "");
        repository.add("op-app", "1.0", "Depends: op-lib\n");
        repository.add("op-app", "2.0", "Depends: op-lib\n");
        repository.index();
        repository
    }

    fn add(&self, name: &str, version: &str, more: &str) {
        let tree = self.0.join("tree");
        let _ = fs::remove_dir_all(&tree);
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        fs::create_dir_all(tree.join("opt/op-dbus-test")).unwrap();
        fs::write(tree.join("opt/op-dbus-test").join(name), version).unwrap();
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\n\
             {more}Description: made for a test\n It holds next to nothing.\n"
        );
        fs::write(tree.join("DEBIAN/control"), control).unwrap();
        let file = self.0.join(format!("{name}_{version}_all.deb"));
        run(
            "dpkg-deb",
            &["--build", "--root-owner-group", text(&tree), text(&file)],
        );
        fs::remove_dir_all(&tree).unwrap();
    }

    fn index(&self) {
        let mut index = String::new();
        for entry in fs::read_dir(&self.0).unwrap().flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|end| end != "deb") {
                continue;
            }
            let control = run("dpkg-deb", &["--field", text(&path)]);
            let sum = run("sha256sum", &[text(&path)]);
            index.push_str(&format!(
                "{}Filename: ./{}\nSize: {}\nSHA256: {}\n\n",
                control,
                entry.file_name().to_string_lossy(),
                entry.metadata().unwrap().len(),
                sum.split(' ').next().unwrap()
            ));
        }
        fs::write(self.0.join("Packages"), index).unwrap();
    }

    /// The line of sources.list(5), as it is reached below `root`.
    pub(crate) fn source(&self, root: &Path) -> String {
        let path = Path::new("/").join(self.0.strip_prefix(root).unwrap());
        format!("deb [trusted=yes] file:{} ./\n", path.display())
    }
}
