# SPDX-License-Identifier: Apache-2.0
"""The guest: a kernel of Debian with a few MB around it, in which records are written.

``files`` is what lies in it, ``configs`` what software configs bring to it, ``build`` makes it, and
``machine`` runs it without a cloud.
"""
