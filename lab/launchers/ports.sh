#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a network agent does on a host: it connects each new tap, the port of a guest, with the host's
# switch. It runs in the host's namespaces.
set -eu

connect() {
    for tap in /sys/class/net/tap*; do
        if [ -e "$tap" ] && [ ! -e "$tap/master" ]; then
            # It may be gone again.
            ip link set "${tap##*/}" master switch || true
        fi
    done
}

connect
ip -o monitor link | while read -r change; do
    case $change in
        *tap*) connect ;;
    esac
done
