//! The base and its image.

use std::path::Path;

use super::{Check, path};
use crate::storage::Base;

pub(super) fn check(base: &Base, check: &mut Check<'_>) {
    let place = path(["btrfs", "base"]);
    let [root, image, size] = ["path", "image", "size"].map(|key| place.key(key));
    if base.path == Path::new("/") && check.intact(&root) {
        check.report(
            root.clone(),
            "`/`",
            "a directory below the root, such as /var/lib/op-dbus",
            None,
        );
    }
    if !check.intact(&image) || !check.intact(&size) {
        return;
    }
    match (&base.image, base.size) {
        (Some(_), None) => check.report(
            size,
            "nothing, although there is an `image`",
            "the size of the image, such as 8GiB",
            None,
        ),
        (None, Some(_)) => check.report(
            size,
            "a size without an image",
            "`size` only beside `image`",
            "name the file with `image`, or leave `size` out".to_owned(),
        ),
        _ => {}
    }
    if let Some(file) = base
        .image
        .as_ref()
        .filter(|file| file.starts_with(&base.path))
        && check.intact(&root)
    {
        check.report(
            image,
            format!("`{}`, which lies below the base", file.display()),
            format!("a file outside of `{}`", base.path.display()),
            "the image is mounted over the base and would hide itself".to_owned(),
        );
    }
}
