# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Sourced after common.sh: rules of others for OpenAPI documents, from npm.

redocly=@redocly/cli@1.34.5
spectral=@stoplight/spectral-cli@6.15.0

# openapi_tools FOLDER: both linters in FOLDER, once. Status 2 without npm or a registry that it reaches, 1 if it fails.
openapi_tools() {
    [ ! -e "$1/.complete" ] || return 0
    command -v npm >/dev/null || {
        say "no npm here (packages nodejs and npm)"
        return 2
    }
    local output
    if ! output=$(npm install --prefix "$1" --no-save --ignore-scripts --no-audit --no-fund --loglevel=error \
        --fetch-retries=0 --fetch-timeout=30000 "$redocly" "$spectral" 2>&1); then
        printf '%s\n' "$output" >&2
        ! grep -qE '\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT)\b' <<<"$output" ||
            return 2
        return 1
    fi
    touch "$1/.complete"
}

# lint_openapi DOCUMENT: fails for whatever redocly's recommended rules or spectral's oas rules find, warnings included.
lint_openapi() {
    local tools status=0 install=0
    tools=$natra_cache/openapi/${redocly##*@}-${spectral##*@}
    mkdir -p "$tools"
    openapi_tools "$tools" || install=$?
    if [ "$install" -eq 2 ]; then
        say "skipped: the rules for $1 need redocly and spectral, which npm could not get"
        return 0
    fi
    [ "$install" -eq 0 ] || return 1
    printf 'extends: spectral:oas\n' >"$tools/ruleset.yaml"
    REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true \
        "$tools/node_modules/.bin/redocly" lint --extends=recommended-strict --format=stylish "$1" || status=1
    "$tools/node_modules/.bin/spectral" lint --ruleset "$tools/ruleset.yaml" --fail-severity=hint "$1" || status=1
    return "$status"
}
