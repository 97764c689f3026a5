# SPDX-License-Identifier: Apache-2.0
"""Reading the file that says how the bodies of each sender are read."""

from collections.abc import Collection

import yaml

from heat_ha import exceptions
from heat_ha.agent.rules import sender_settings
from heat_ha.agent.rules.sender_settings import SenderSettings
from heat_ha.conf import yaml_files


def read(path: str, known: Collection[str]) -> dict[str, SenderSettings]:
    """Read the file; without one, all senders have the defaults.

    :param known: the names of the senders.
    :raises exceptions.Refused: it cannot be read, or what is wrong with it.
    """
    if not path:
        return {}
    try:
        with open(path) as stream:
            content = yaml_files.load(stream.read())
    except (OSError, UnicodeDecodeError) as exc:
        raise exceptions.Refused(f'senders_file cannot be read: {exc}') from exc
    except (yaml.YAMLError, TypeError, ValueError) as exc:
        raise exceptions.Refused(f'senders_file is not valid YAML: {exc}') from exc
    found = sender_settings.parse(content)
    if unknown := sorted(set(found) - set(known)):
        raise exceptions.Refused(
            f'senders_file names {unknown[0]!r}, which has no token',
            f'Senders in tokens_file: {", ".join(sorted(known)) or "none"}',
        )
    return found
