# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the running kernel must offer before natrad, the tests or the demo can
# use it. Needs common.sh; needs root.

# Mounts the BPF file system where it belongs, if nothing has yet.
ensure_bpffs() {
    local type
    type=$(stat -f -c %T /sys/fs/bpf 2>/dev/null) || die "no /sys/fs/bpf: is this kernel built without BPF?"
    [ "$type" = bpf_fs ] || mount -t bpf bpf /sys/fs/bpf || die "cannot mount the BPF file system on /sys/fs/bpf"
}
