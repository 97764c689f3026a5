# SPDX-License-Identifier: Apache-2.0
"""The configurations that the guides show, as what they are pasted into would read them."""

import collections
import pathlib
import re

import yaml
from oslo_config import cfg

from heat_ha.conf import agent, opts

ROOT = pathlib.Path(__file__).resolve().parents[3]
GUIDES = sorted((ROOT / 'doc/source').rglob('*.rst'))
SAMPLES = ROOT / 'etc/heat_ha'

_SECTION = re.compile(r'   \[(\w+)\]')
_OPTION = re.compile(r'   (\w+) = (.*)')
_IN_A_SENTENCE = re.compile(r'``(\w+) = ([^`]+)``')

# What is a line of a configuration, but not of ours.
_OF_OTHERS = {'plugin_dirs', 'deferred_auth_method'}


def shown():
    """Each configuration by page and line: by group, the options with their values.

    A block without a group, and what a sentence has, is of the agent's group.
    """
    found = {}
    for page in GUIDES:
        for number, block in _blocks(page.read_text().splitlines()):
            groups, group = collections.defaultdict(dict), agent.GROUP
            for line in block:
                if mark := _SECTION.fullmatch(line):
                    group = mark[1]
                elif (mark := _OPTION.fullmatch(line)) and mark[1] not in _OF_OTHERS:
                    groups[group][mark[1]] = mark[2]
            if groups:
                found[f'{page.name}:{number}'] = dict(groups)
    return found


def _blocks(lines):
    """Every indented block, with the number of its first line; each option in a sentence too."""
    block, begin = [], 0
    for number, line in enumerate([*lines, 'end'], 1):
        if line.startswith('   '):
            begin = begin if block else number
            block.append(line)
            continue
        if line and block:
            yield begin, block
            block = []
        for mark in _IN_A_SENTENCE.finditer(line):
            yield number, [f'   {mark[1]} = {mark[2]}']


def known():
    """The names of all options, by group."""
    return {group: {one.dest: one for one in options} for group, options in opts.list_opts()}


def read(folder, groups):
    """The configuration as oslo.config reads it. :raises Exception: a value is none."""
    path = folder / 'heat.conf'
    path.write_text(
        ''.join(
            f'[{group}]\n' + ''.join(f'{key} = {value}\n' for key, value in options.items())
            for group, options in groups.items()
        )
    )
    conf = cfg.ConfigOpts()
    for group, options in opts.list_opts():
        # A credential that is there must be whole.
        if group in {*groups, agent.GROUP}:
            conf.register_opts(options, group=group)
    conf([], default_config_files=[str(path)], project='heat')
    return conf


def fencing_file(folder):
    """The sample of the fencing file, with the files and programs that it names.

    The programs do nothing; they are in ``folder``, which belongs into the path.
    """
    wanted = yaml.safe_load((SAMPLES / 'fencing.yaml.sample').read_text())
    password = folder / 'password'
    password.write_text('secret')
    for settings in wanted['hosts'].values():
        levels = [one for level in settings.get('levels', ()) for one in _drivers(level)]
        for one in (settings, *levels):
            if 'password_file' in one:
                one['password_file'] = str(password)
            if 'program' in one:
                program = folder / one['program']
                program.write_text('#!/bin/sh\nexit 1\n')
                program.chmod(0o755)
    path = folder / 'fencing.yaml'
    path.write_text(yaml.safe_dump(wanted))
    return path


def _drivers(level):
    return level if isinstance(level, list) else [level]
