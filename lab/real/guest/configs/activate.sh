#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Take a volume into use: the script of the software config that a policy names as "activate".
# Inputs: mount_point, where its file system is to be; volume, its id, or nothing when the server
# has one only. A volume without anything on it gets a file system.
set -e
: "${mount_point:?}"
stop-recorder || true
# Of a volume that was taken away without being asked.
umount -l "$mount_point" 2> /dev/null || true
device=$(wait-for-volume "${volume:-}" 60)
if [ "$(head -c 65536 "$device" | tr -d '\000' | wc -c)" = 0 ]; then
    mkfs.ext4 -q -E nodiscard "$device"
fi
# 1 means that it was not clean and is now.
e2fsck -p "$device" || [ $? -eq 1 ]
mkdir -p "$mount_point"
mount -t ext4 "$device" "$mount_point"
start-recorder "$mount_point/records" "$(cat "/sys/block/${device#/dev/}/serial")"
echo "$device is mounted on $mount_point and written to"
