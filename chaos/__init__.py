# SPDX-License-Identifier: Apache-2.0
"""Random failovers on the lab while hosts, engines and services fail: `make chaos RUNS= SEED=`.

``choice`` draws from a seed what goes wrong, ``pool`` has the stacks, ``world`` kills, freezes and
fences, ``drive`` lets one failover run to its end, ``check`` says what must not be, and ``run``
puts them together.
"""
