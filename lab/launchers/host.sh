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
# libvirt wants the user and the group to be there, though its configuration names others. A package
# that would make them has services for the machine itself.
for table in passwd group; do
    cp "/etc/$table" "/run/$table"
done
grep -q '^libvirt-qemu:' /run/passwd ||
    echo 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin' >>/run/passwd
grep -q '^libvirt-qemu:' /run/group || echo 'libvirt-qemu:x:64055:' >>/run/group
grep -q '^kvm:' /run/group || echo 'kvm:x:64056:' >>/run/group
for table in passwd group; do
    mount --bind "/run/$table" "/etc/$table"
done
mount --bind "$folder/etc/hosts" /etc/hosts
echo "$name is up"
exec sleep infinity
