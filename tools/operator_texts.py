# SPDX-License-Identifier: Apache-2.0
"""All texts in the code that an operator or a tenant can read, for reading them in one go.

``.venv/bin/python tools/operator_texts.py [FOLDER ...]`` prints each string of more than one word
with its place and with what it is an argument of; the default is ``heat_ha``. Names in braces
stand for values. Docstrings, comments and log lines at DEBUG are left out.
"""

import argparse
import ast
import dataclasses
import pathlib
import sys
from collections.abc import Iterator, Sequence

ROOT = pathlib.Path(__file__).resolve().parents[1]

# What is not read by anybody outside: the argument of a call that is named so.
UNREAD_CALLS = frozenset({'debug', 'compile', 'text', 'TypeVar', 'cast'})


@dataclasses.dataclass(frozen=True)
class Text:
    """One text: its place, what it is given to, and its words."""

    path: str
    line: int
    given_to: str
    words: str

    def __str__(self) -> str:
        return f'{self.path}:{self.line}: {self.given_to}: {self.words}'


def texts_of(path: pathlib.Path) -> Iterator[Text]:
    """The texts of one module, in their order."""
    tree = ast.parse(path.read_text(), str(path))
    docstrings = set(_docstrings(tree))
    shown = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
    for node, given_to in _strings(tree, ''):
        if id(node) in docstrings or given_to in UNREAD_CALLS:
            continue
        words = _words(node)
        if ' ' in words.strip() and any(c.isalpha() for c in words):
            yield Text(shown, node.lineno, given_to or '-', words)


def all_texts(folders: Sequence[pathlib.Path]) -> list[Text]:
    """The texts of all modules below some folders."""
    paths = [path for folder in folders for path in sorted(folder.rglob('*.py'))]
    return [text for path in paths for text in texts_of(path)]


def _docstrings(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield id(node.value)


def _strings(node: ast.AST, given_to: str) -> Iterator[tuple[ast.expr, str]]:
    """Strings with the innermost call, or keyword of it, that they are an argument of."""
    if isinstance(node, ast.Constant | ast.JoinedStr):
        if isinstance(node, ast.JoinedStr) or isinstance(node.value, str):
            yield node, given_to
        # What stands between braces may hold texts of its own.
        for part in getattr(node, 'values', ()):
            if isinstance(part, ast.FormattedValue):
                yield from _strings(part.value, given_to)
        return
    if isinstance(node, ast.Call):
        name = _name(node.func)
        yield from _strings(node.func, given_to)
        for argument in node.args:
            yield from _strings(argument, name)
        for keyword in node.keywords:
            is_help = keyword.arg in ('help', 'description')
            yield from _strings(keyword.value, keyword.arg or name if is_help else name)
        return
    for field, value in ast.iter_fields(node):
        # Types may stand in quotes.
        if field in ('annotation', 'returns'):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _strings(child, given_to)


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ''


def _words(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.JoinedStr)
    return ''.join(
        str(part.value) if isinstance(part, ast.Constant) else f'{{{ast.unparse(part.value)}}}'
        for part in node.values
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the texts below the given folders."""
    parser = argparse.ArgumentParser(description='Print what people can read of the code.')
    parser.add_argument('folders', nargs='*', type=pathlib.Path, default=[ROOT / 'heat_ha'])
    for text in all_texts([f.resolve() for f in parser.parse_args(arguments).folders]):
        print(text)
    return 0


if __name__ == '__main__':
    sys.exit(main())
