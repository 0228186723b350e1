# shellcheck shell=bash
# Sourced: finds a Rust toolchain that is new enough, or says how to get one and ends the script.

oldest=1.89

# Under sudo the toolchain is often in the home of the person who called it.
for home in "${HOME:-/root}" "$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)"; do
    if ! command -v cargo >/dev/null && [[ -x $home/.cargo/bin/cargo ]]; then
        export PATH="$home/.cargo/bin:$PATH" RUSTUP_HOME="${RUSTUP_HOME:-$home/.rustup}"
    fi
done

found=$(cargo --version 2>/dev/null | cut -d' ' -f2) || found=
if [[ -z $found || $(printf '%s\n' "$oldest" "$found" | sort -V | head -n 1) != "$oldest" ]]; then
    cat >&2 <<END
operation-dbus needs Rust $oldest or later; ${found:+this machine has }${found:-none was found}.
Get it with rustup, as the user who builds:
    apt-get install rustup && rustup default stable      (Debian 13 and later)
    see https://rustup.rs                                (anywhere else)
END
    exit 1
fi
unset oldest found home
