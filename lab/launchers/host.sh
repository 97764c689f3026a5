#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What keeps a host of the tier with real guests: it runs as the first process in the host's
# namespaces and gives the host its name and its own folders. All other processes of the host are
# started in its namespaces.
#
# host.sh NAME FOLDER
set -eu

name=$1
folder=$2

hostname "$name"
# The devices of this network namespace; Nova looks for taps there.
mount -t sysfs sysfs /sys
# As after each start of a machine it is empty.
mount -t tmpfs tmpfs /run
mkdir /run/libvirt /run/lock
for place in /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt; do
    mkdir -p "$folder$place" "$place"
    mount --bind "$folder$place" "$place"
done
echo "$name is up"
exec sleep infinity
