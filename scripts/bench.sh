#!/usr/bin/env bash
# Runs every benchmark and prints its figures; docs/performance.md says what they mean.
set -euo pipefail
cd "$(dirname "$0")/../agent"

# shellcheck source=scripts/toolchain.sh
source ../scripts/toolchain.sh
../scripts/packages.sh gcc libc6-dev btrfs-progs openvswitch-switch lxc uidmap busybox-static \
    iproute2 openssl

cargo bench --workspace --bench '*' --locked
