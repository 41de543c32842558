# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Debian's kernels, by series, from the mirror apt is configured with. Needs
# scripts/lib/common.sh and scripts/lib/apt.sh. Nothing is installed: packages
# are fetched with apt directories of our own and unpacked into the cache.

# shellcheck disable=SC2154  # common.sh sets natra_cache and natra_root
kernel_cache=$natra_cache/kernels

# kernel_apt WORK PROGRAM ARGUMENTS...: an apt program that knows only WORK.
kernel_apt() {
    local work=$1 program=$2
    shift 2
    # Old releases are not signed anew every week, hence no Check-Valid-Until.
    "$program" -q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/sources" \
        -o Dir::State="$work/state" -o Dir::Cache="$work/cache" -o Dir::State::status="$work/status" \
        -o APT::Architecture=amd64 -o APT::Architectures=amd64 -o APT::Sandbox::User=root \
        -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none \
        -o Acquire::Retries=3 -o Acquire::http::Timeout=30 "$@"
}

# kernel_package WORK SERIES: "PACKAGE VERSION" of the newest point release.
kernel_package() {
    local work=$1 series=${2//./\\.}
    local -a names
    mapfile -t names < <(kernel_apt "$work" apt-cache search --names-only \
        "^linux-image-${series}[.-][^-]*(-[^-]*)?-cloud-amd64\$" | awk '{ print $1 }')
    [ ${#names[@]} -gt 0 ] || return 0
    kernel_apt "$work" apt-cache show --no-all-versions "${names[@]}" |
        awk '/^Package:/ { name = $2 } /^Version:/ { print name, $2 }' | kernel_newest
}

# kernel_sources SERIES: deb822 stanzas of where Debian keeps that series.
kernel_sources() {
    local key release
    key=$(apt_archive_key)
    case $1 in
    5.10) release=bullseye ;;
    6.1) release=bookworm ;;
    6.12) release=trixie ;;
    *)
        apt_stanza trixie-backports '' "$key"
        return
        ;;
    esac
    apt_stanza "$release" '' "$key"
    if apt_mirror security >/dev/null; then
        printf '\n'
        apt_stanza "$release-security" security "$key"
    fi
}

# kernel_fetch SERIES: looks for the newest point release and leaves its boot
# image and modules under kernel_cache.
kernel_fetch() {
    local series=$1 work=$kernel_cache/apt-$1 package version place part
    mkdir -p "$work/sources" "$work/state/lists/partial" "$work/cache/archives/partial"
    : >"$work/status"
    kernel_sources "$series" >"$work/sources/debian.sources" || return 1
    apt_quietly kernel_apt "$work" apt-get update --error-on=any || return 1
    read -r package version < <(kernel_package "$work" "$series") || true
    if [ -z "${package-}" ]; then
        say "no kernel $series in $(sed -n 's/^Suites: //p' "$work/sources/debian.sources" | paste -sd ' ')"
        return 1
    fi
    place=$kernel_cache/$series-$version
    if [ ! -e "$place" ]; then
        say "fetching kernel $series: $package $version"
        rm -rf "$place.new"
        mkdir -p "$place.new/root"
        # Since 7.2 what the package held is in packages of their own.
        for part in image base binary modules; do
            part=${package/linux-image-/linux-$part-}
            # Of a package that others only name, apt-cache shows nothing and succeeds.
            kernel_apt "$work" apt-cache show "$part" 2>/dev/null | grep -xF "Version: $version" >/dev/null || continue
            (cd "$place.new" && apt_quietly kernel_apt "$work" apt-get download "$part=$version") || return 1
        done
        kernel_unpack "$place.new" && mv "$place.new" "$place" || return 1
    fi
    ln -sfn "${place##*/}" "$kernel_cache/$series"
    touch "$kernel_cache/$series.checked"
}

# kernel_unpack DIRECTORY: turns the packages in it into vmlinuz and modules.cpio.
kernel_unpack() {
    local archive
    for archive in "$1"/*.deb; do
        dpkg-deb -x "$archive" "$1/root" || return 1
    done
    find "$1/root" -name 'vmlinuz*' -type f -exec mv {} "$1/vmlinuz" \; &&
        [ -s "$1/vmlinuz" ] &&
        /usr/bin/python3 "$natra_root/tests/system/vm/initramfs.py" modules "$1/root" "$1/modules.cpio" &&
        rm -rf "$1/root" "$1"/*.deb
}

# kernel_newest: of "PACKAGE VERSION" lines, the one with the highest version.
kernel_newest() {
    local package version best='' best_version=''
    while read -r package version; do
        if [ -z "$best" ] || dpkg --compare-versions "$version" gt "$best_version"; then
            best=$package best_version=$version
        fi
    done
    [ -z "$best" ] || printf '%s %s\n' "$best" "$best_version"
}

# kernel_directory SERIES: prints the directory with vmlinuz and modules.cpio.
# A newer point release is looked for once a week; without the network the one
# in the cache does.
kernel_directory() {
    local series=$1
    mkdir -p "$kernel_cache"
    (
        flock 8
        if [ -z "$(find "$kernel_cache/$series.checked" -mtime -7 2>/dev/null)" ] ||
            [ ! -e "$kernel_cache/$series/modules.cpio" ]; then
            kernel_fetch "$series" || {
                [ -e "$kernel_cache/$series/modules.cpio" ] || exit 1
                say "could not look for a newer kernel $series; using the one in the cache"
            }
        fi
    ) 8>"$kernel_cache/.lock-$series" || return 1
    readlink -f "$kernel_cache/$series"
}
