#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Let go of a volume: the script of the software config that a policy names as "quiesce".
# Input: mount_point, where the volume's file system is mounted.
set -e
: "${mount_point:?}"
stop-recorder
sync
# On a standby nothing is mounted.
if grep -q " $mount_point " /proc/mounts; then
    umount "$mount_point"
fi
echo "$mount_point is free"
