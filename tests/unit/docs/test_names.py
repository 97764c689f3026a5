# SPDX-License-Identifier: Apache-2.0
"""What the contributor guide names in the code exists."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
GUIDE = ROOT / 'doc/source/contributor'
PAGES = sorted(path.name for path in GUIDE.glob('*.rst'))

# What a page calls new is only an example.
LITERAL = re.compile(r'``([^`]+)``(?!\s+\(new\))')
PATH = re.compile(
    r'(?:heat_ha|tests|tools|policies|resources|chaos|bench|lab|demo|etc|examples|doc)(?:/[\w.*-]+)+/?'
)
# ``module.function`` or ``module.Class.method``, where module is one of heat_ha.
DOTTED = re.compile(r'([a-z_]+)((?:\.[A-Za-z_]\w*){1,2})(?:\(\))?')


def literals(page):
    return [' '.join(found.split()) for found in LITERAL.findall((GUIDE / page).read_text())]


def modules():
    """The paths of heat_ha's modules by the last part of their name."""
    found = {}
    for path in (ROOT / 'heat_ha').rglob('*.py'):
        found.setdefault(path.stem, []).append(path)
    return found


def names_in(path):
    """The names that a module defines: functions, classes, their members, and assignments."""
    names = set()

    def collect(body, prefix):
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                collect(node.body, f'{prefix}{node.name}.')
            targets = getattr(node, 'targets', [getattr(node, 'target', None)])
            for target in targets:
                for one in ast.walk(target) if target is not None else ():
                    if isinstance(one, ast.Name):
                        names.add(prefix + one.id)

    collect(ast.parse(path.read_text()).body, '')
    return names


@pytest.mark.parametrize('page', PAGES)
def test_every_path_in_the_guide_exists(page):
    paths = [name for name in literals(page) if PATH.fullmatch(name)]
    assert [path for path in paths if not list(ROOT.glob(path.rstrip('/')))] == []


@pytest.mark.parametrize('page', PAGES)
def test_every_name_of_a_module_in_the_guide_exists(page):
    known = modules()
    missing = []
    for name in literals(page):
        match = DOTTED.fullmatch(name)
        if match is None or match[1] not in known or match[2] == '.py':
            continue
        if not any(match[2][1:] in names_in(path) for path in known[match[1]]):
            missing.append(name)
    assert missing == []
