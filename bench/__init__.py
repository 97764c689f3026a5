# SPDX-License-Identifier: Apache-2.0
"""Benchmarks on the lab: `make bench NAME=handoff`, or all of them without a name.

A benchmark is a module in this folder with a function ``add_options(parser)`` and a function
``run(options, console)`` that prints a table and returns the figures. ``NEEDS_LAB`` is False in one
that runs without the lab.
"""
