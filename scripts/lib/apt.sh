# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Distribution packages through apt. No mirror and no key is named here: both
# are read from the configuration apt already has. Needs common.sh.

apt_updated=no
apt_log=

# apt_quietly COMMAND...: runs it, and shows what it printed only if it failed.
apt_quietly() {
    [ -n "$apt_log" ] || apt_log=$(mktemp -t natra-apt.XXXXXX)
    if DEBIAN_FRONTEND=noninteractive "$@" >"$apt_log" 2>&1 </dev/null; then
        rm -f "$apt_log"
        apt_log=
        return 0
    fi
    cat "$apt_log" >&2
    rm -f "$apt_log"
    apt_log=
    return 1
}

# apt_get ARGUMENTS...: bounded in time, and patient with another apt at work.
apt_get() {
    apt_quietly apt-get -q -y -o Acquire::Retries=3 -o Acquire::http::Timeout=30 \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold "$@"
}

# Refreshes the package lists, at most once successfully per process.
apt_update() {
    local attempt
    [ "$apt_updated" = no ] || return 0
    for attempt in 1 2 3; do
        if apt_get update --error-on=any; then
            apt_updated=yes
            return 0
        fi
        say "apt-get update failed (attempt $attempt of 3)"
        sleep $((attempt * 3))
    done
    return 1
}

# apt_targets: one line per configured package list that has been fetched:
# "REPO-URI RELEASE SOURCESENTRY ORIGIN/LABEL", the last of which has blanks.
apt_targets() {
    # shellcheck disable=SC2016  # apt expands these, not the shell
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(SOURCESENTRY) $(ORIGIN)/$(LABEL)' \
        'Created-By: Packages'
}

# apt_archive FIELD ORIGIN/LABEL: that field of the first list of an archive.
apt_archive() {
    apt_targets | awk -v field="$1" -v archive="$2" '
        !found && substr($0, length($1 $2 $3) + 4) == archive { print $field; found = 1 }'
}

# apt_mirror [security]: URI of the configured mirror of Debian, or of its
# security archive. Fetches the package lists if there are none yet.
apt_mirror() {
    local archive=Debian/Debian uri
    [ "${1-}" != security ] || archive=Debian/Debian-Security
    uri=$(apt_archive 1 "$archive")
    if [ -z "$uri" ]; then
        apt_update || return 1
        uri=$(apt_archive 1 "$archive")
    fi
    [ -n "$uri" ] && printf '%s\n' "$uri"
}

# apt_signed_by FILE:N: the "Signed-By:" field (deb822, with its continuation
# lines) of the Nth stanza of FILE, or the signed-by of its Nth line if FILE
# has the one-line style. Prints nothing when apt's global keyring is used.
apt_signed_by() {
    local file=${1%:*} number=${1##*:} key
    case $file in
    *.sources)
        awk -v wanted="$number" '
            BEGIN { stanza = 1 }
            /^[[:space:]]*$/ { if (seen) { stanza++; seen = 0 } taking = 0; next }
            /^#/ { next }
            { seen = 1 }
            /^[^[:space:]]/ { taking = tolower($0) ~ /^signed-by:/ }
            taking && stanza == wanted' "$file"
        ;;
    *)
        key=$(sed -n "${number}s/^[^[]*\[[^]]*signed-by=\([^] ]*\).*/\1/p" "$file")
        [ -z "$key" ] || printf 'Signed-By: %s\n' "$key"
        ;;
    esac
}

# apt_archive_key: Signed-By field for releases other than the running one: the
# archive keyring holds the keys of all of them.
apt_archive_key() {
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg entry
    if [ -e "$keyring" ]; then
        printf 'Signed-By: %s\n' "$keyring"
    else
        entry=$(apt_archive 3 Debian/Debian)
        [ -z "$entry" ] || apt_signed_by "$entry"
    fi
}

# apt_stanza SUITE [security] [KEY-FIELD]: a deb822 stanza for SUITE of the
# configured mirror; the key is the mirror's own unless given.
apt_stanza() {
    local suite=$1 archive=${2-} key=${3-} uri entry
    uri=$(apt_mirror "$archive") || return 1
    if [ -z "$key" ]; then
        entry=$(apt_targets | awk -v uri="$uri" '!found && $1 == uri { print $3; found = 1 }')
        key=$(apt_signed_by "$entry")
    fi
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n%s\n' "$uri" "$suite" "$key"
}

# Adds the running release's backports to apt's sources, unless they are there.
# They rank below the release itself: nothing is taken from them unasked.
apt_enable_backports() {
    local suite=$1 file=/etc/apt/sources.list.d/natra-backports.sources
    apt_update || return 1
    if apt_targets | awk -v suite="$suite" '$2 == suite { found = 1 } END { exit !found }'; then
        return 0
    fi
    say "adding $suite to apt's sources ($file)"
    apt_stanza "$suite" >"$file.new" && mv "$file.new" "$file" || return 1
    apt_updated=no
    apt_update
}

apt_installed_version() {
    # shellcheck disable=SC2016  # dpkg expands these, not the shell
    dpkg-query -W -f '${db:Status-Status} ${Version}\n' "$1" 2>/dev/null | awk '$1 == "installed" { print $2; exit }'
}

apt_candidate_version() {
    LC_ALL=C apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'
}

# apt_satisfied VERSION MINIMUM: is VERSION there, and at least MINIMUM?
apt_satisfied() {
    [ -n "$1" ] && { [ -z "$2" ] || dpkg --compare-versions "$1" ge "$2"; }
}

# apt_missing SPEC...: the specs (NAME or NAME>=VERSION) not yet installed.
apt_missing() {
    local spec name minimum
    for spec in "$@"; do
        name=${spec%%>=*} minimum=
        [ "$name" = "$spec" ] || minimum=${spec#*>=}
        apt_satisfied "$(apt_installed_version "$name")" "$minimum" || printf '%s\n' "$spec"
    done
}

# apt_resolve SPEC...: the arguments for apt-get install; a package too old in
# the running release is taken from its backports.
apt_resolve() {
    local spec name minimum codename
    codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME-}")
    for spec in "$@"; do
        name=${spec%%>=*} minimum=
        [ "$name" = "$spec" ] || minimum=${spec#*>=}
        if apt_satisfied "$(apt_candidate_version "$name")" "$minimum"; then
            printf '%s\n' "$name"
        elif [ -n "$minimum" ]; then
            printf '%s/%s-backports\n' "$name" "$codename"
        else
            say "error: package $name is in none of apt's sources"
            return 1
        fi
    done
}

# apt_install_missing SPEC...: installs what is missing and nothing else.
apt_install_missing() {
    local -a missing arguments
    local attempt
    mapfile -t missing < <(apt_missing "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" -eq 0 ] || die "packages are missing, and installing them needs root: ${missing[*]}"
    say "installing ${missing[*]}"
    for attempt in 1 2; do
        # Lists that were never fetched, or are older than what the mirror still has.
        if [ "$attempt" -eq 2 ] || ! apt_resolve "${missing[@]}" >/dev/null 2>&1; then
            apt_update || return 1
        fi
        mapfile -t arguments < <(apt_resolve "${missing[@]}")
        [ ${#arguments[@]} -eq ${#missing[@]} ] || return 1
        local argument
        for argument in "${arguments[@]}"; do
            case $argument in
            */*-backports) apt_enable_backports "${argument#*/}" || return 1 ;;
            esac
        done
        if apt_get install --no-remove --no-install-recommends "${arguments[@]}"; then
            mapfile -t missing < <(apt_missing "$@")
            [ ${#missing[@]} -eq 0 ] || die "installed, but still missing or too old: ${missing[*]}"
            return 0
        fi
    done
    return 1
}
