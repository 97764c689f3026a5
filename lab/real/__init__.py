# SPDX-License-Identifier: Apache-2.0
"""The tier with real guests and real bytes: Ceph, and hosts with libvirt, in namespaces.

``make lab-real`` starts the lab's first region with it; the fake hosts and the second region do not
run then. ``addresses`` has the names and the addresses, ``network`` makes them, ``services`` is the
table of what runs in them, ``power`` acts on a host as a whole. ``kind`` tells which kind of lab
is in the folder: modules of the plain lab ask it, and need nothing else of this package.
"""
