# SPDX-License-Identifier: Apache-2.0
"""Random failovers of guests that really write: `make chaos REAL=1 RUNS= SEED=`.

``choice`` draws what happens in a run, ``drive`` lets it happen and waits for its end, ``pair`` has
the stack, ``check`` says what must not be, and ``run`` puts them together.
"""
