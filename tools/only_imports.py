# SPDX-License-Identifier: Apache-2.0
"""A contract for import-linter: these modules import only those.

import-linter has contracts that forbid; what a pure module may import is the shorter list.
``pyproject.toml`` uses it.
"""

import fnmatch
import sys

import grimp
from importlinter import Contract, ContractCheck, fields, output


class OnlyImports(Contract):
    """The modules import what is allowed and the standard library, less its listed parts."""

    modules = fields.SetField(subfield=fields.StringField())
    allowed = fields.SetField(subfield=fields.StringField())
    except_standard = fields.SetField(subfield=fields.StringField())

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:
        """Collect the imports that are not allowed."""
        found = [
            (importer, imported)
            for importer in sorted(graph.modules)
            if _matches(importer, self.modules)
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if not self._may_import(imported)
        ]
        return ContractCheck(kept=not found, metadata={'found': found})

    def _may_import(self, imported: str) -> bool:
        if imported in sys.stdlib_module_names:
            return imported not in self.except_standard
        return _matches(imported, self.allowed)

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name each import."""
        for importer, imported in check.metadata['found']:
            output.print_error(f'{importer} imports {imported}')


def _matches(module: str, patterns: set[str]) -> bool:
    return any(fnmatch.fnmatchcase(module, pattern) for pattern in patterns)
