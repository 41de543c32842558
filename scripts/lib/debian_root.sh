# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Debian root file systems, from the mirror, proxy and keys of this system's
# apt. Needs common.sh and apt.sh.

# shellcheck disable=SC2034  # used by those who source this
declare -A debian_codenames=([12]=bookworm [13]=trixie)

# The transport settings of this system's apt, for the apt inside.
debian_apt_transport() {
    apt-config dump --format '%F "%v";%n' Acquire::http Acquire::https \
        Acquire::Check-Valid-Until Acquire::Check-Date | grep -v ' "";$' || true
}

# debian_sources CODENAME: release, updates and security archive, as deb822.
debian_sources() {
    local key
    key=$(apt_archive_key)
    apt_stanza "$1" '' "$key"
    printf '\n'
    apt_stanza "$1-updates" '' "$key"
    if apt_mirror security >/dev/null; then
        printf '\n'
        apt_stanza "$1-security" security "$key"
    fi
}

# debian_root_archive RELEASE NAME PACKAGES [MMDEBSTRAP-ARGUMENT...]: prints the
# path of an archive of a minimal root with these packages (comma-separated),
# made at most once a week. Takes a lock that it holds until the process ends or
# closes descriptor 9.
debian_root_archive() {
    local release=$1 name=$2 packages=$3 cache=$natra_cache/roots recipe archive work
    shift 3
    recipe=$(printf '%s\n' "$packages" "$@" | sha256sum)
    archive=$cache/$name-$release-${recipe:0:8}.tar
    mkdir -p "$cache"
    if [ -z "$(find "$archive" -mtime -7 2>/dev/null)" ]; then
        say "making a Debian $release root ($name)"
        work=$(mktemp -d "$cache/make.XXXXXX")
        debian_sources "${debian_codenames[$release]}" >"$work/debian.sources"
        debian_apt_transport >"$work/apt.conf"
        apt_quietly mmdebstrap --variant=minbase --include="$packages" \
            --aptopt="$work/apt.conf" "$@" "${debian_codenames[$release]}" "$work/root.tar" "$work/debian.sources" ||
            { rm -rf "$work" && die "mmdebstrap failed"; }
        rm -f "$cache/$name-$release"[-.]*tar # of other recipes, too
        mv "$work/root.tar" "$archive"
        rm -rf "$work"
    fi
    printf '%s\n' "$archive"
}

# nspawn arguments for a container whose kernel interfaces are the host's: natra
# is a program that manages them, so it gets every capability and the system
# calls that nspawn withholds by default.
# shellcheck disable=SC2034  # used by those who source this
nspawn_privileged=(--register=no --keep-unit --capability=all
    '--system-call-filter=bpf perf_event_open keyctl add_key request_key')
