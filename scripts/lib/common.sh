# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What every script here shares: where the tree is, how to speak, how to stop.
# Source it after `set -euo pipefail`. Output goes to stderr, so that stdout
# stays the command's own.

# shellcheck disable=SC2034  # used by those who source this
natra_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
natra_name=${0##*/}
# Fetched and costly things (kernels, Debian roots): may be deleted at any time.
# shellcheck disable=SC2034  # used by those who source this
natra_cache=${NATRA_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/natra}

# scripts/deps installs the distribution's programs; these are the ones to use,
# whatever else PATH offers, and some of them are where only root looks.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH

say() {
    printf '%s: %s\n' "$natra_name" "$*" >&2
}

die() {
    say "error: $*"
    exit 1
}

# usage_and_exit STATUS: prints the calling script's header comment.
usage_and_exit() {
    local out=2
    [ "$1" -ne 0 ] || out=1
    awk 'NR == 1 || /SPDX-/ { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$0" >&"$out"
    exit "$1"
}

need_root() {
    [ "$(id -u)" -eq 0 ] || die "$1 needs root: run it with sudo"
}
