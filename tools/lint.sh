#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Check style, types, imports, layout, sizes and documents. `make lint`, tox's pep8 and pre-commit run it,
# with the programs of the development environment first on the path.
set -euo pipefail

cd "$(dirname "$0")/.."
ruff check .
ruff format --check --quiet . || { ruff format --diff .; exit 1; }
mypy
lint-imports --no-logo
python -m tools.unit_structure
python -m tools.sizes --limit heat_ha lab bench chaos demo tests tools
doc8 --quiet README.rst HACKING.rst CONTRIBUTING.rst doc/source
