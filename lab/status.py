# SPDX-License-Identifier: Apache-2.0
"""What runs of the lab, as a table for a person or as JSON for a program."""

import json

from lab import layout, ports, processes, services
from lab.real import kind, network
from lab.real.addresses import Plan

_HEAD = ('SERVICE', 'STATE', 'PID', 'PORT', 'MEMORY', 'LOG')


def collect(block: ports.Ports) -> list[dict[str, object]]:
    """Return the facts of each service. ``pid`` is also the id of its process group.

    What is an option is left out while nobody has asked for it.
    """
    found = []
    for service in services.table(block):
        seen = processes.look(service.name)
        if service.is_option and seen.state is processes.State.STOPPED:
            continue
        found.append(
            {
                'service': service.name,
                'region': service.region,
                'state': seen.state.value,
                'pid': seen.group,
                'port': service.port,
                'memory_mib': round(seen.memory_kib / 1024),
                'log': str(layout.log_of(service.name)),
            }
        )
    return found


def as_json(block: ports.Ports) -> str:
    """Return the facts for a program."""
    return json.dumps(collect(block), indent=2)


def as_table(block: ports.Ports) -> str:
    """Return the facts as aligned columns, with a sum below."""
    facts = collect(block)
    rows = [_HEAD]
    for fact in facts:
        memory = f'{fact["memory_mib"]} MiB' if fact['pid'] else '-'
        log = layout.log_of(str(fact['service'])).relative_to(layout.ROOT)
        cells = (fact['service'], fact['state'], fact['pid'], fact['port'], memory, log)
        rows.append(tuple('-' if cell is None else str(cell) for cell in cells))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [
        '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    running = sum(fact['state'] == 'running' for fact in facts)
    memory = sum(int(str(fact['memory_mib'])) for fact in facts)
    lines.append(f'{running} of {len(facts)} services run, {memory / 1024:.1f} GiB of memory')
    if kind.is_real():
        cut = network.cut_links(Plan(block.base))
        lines += [f'{host} is cut from its {link.value}' for host, link in cut]
    return '\n'.join(lines)
