# SPDX-License-Identifier: Apache-2.0
"""What an operator says of a sender of reports: which label is the host, what is a death. Pure."""

import collections.abc
import dataclasses
from collections.abc import Mapping

from heat_ha import exceptions, quoting
from heat_ha.conf import words

# Not ``instance``: that is the address of the exporter, which may run on another host.
HOST_LABELS = ('hostname', 'host')


@dataclasses.dataclass(frozen=True)
class SenderSettings:
    """How the bodies of one sender are read.

    * ``host_labels``: the labels of an alert that name the host, the surest first.
    * ``down_alerts``: the alerts that mean that the host is dead; each is a set of labels with
      their values, all of which the alert must have. Without any, no alert means a death.
    * ``lost_is_down``: whether a node that pacemaker has lost, and not fenced yet, is dead. It also
      loses a node on which somebody stops pacemaker.
    """

    host_labels: tuple[str, ...] = HOST_LABELS
    down_alerts: tuple[Mapping[str, str], ...] = ()
    lost_is_down: bool = False

    def means_a_death(self, labels: Mapping[str, object]) -> bool:
        """Whether an alert with these labels is one of ``down_alerts``."""
        return any(
            all(labels.get(key) == value for key, value in wanted.items())
            for wanted in self.down_alerts
        )


def parse(found: object) -> dict[str, SenderSettings]:
    """Read the content of the senders' file: settings by the name of the sender.

    :raises exceptions.Refused: what is wrong with it.
    """
    if found is None:
        return {}
    if not isinstance(found, collections.abc.Mapping):
        raise exceptions.Refused(
            f'the senders file is a {quoting.kind(found)}', 'Write a map: a sender, its settings'
        )
    return {str(name): _one(f'sender {name}', settings) for name, settings in found.items()}


def _one(where: str, settings: object) -> SenderSettings:
    if not isinstance(settings, collections.abc.Mapping):
        raise exceptions.Refused(
            f'{where} in the senders file is a {quoting.kind(settings)}', _known()
        )
    known = {field.name for field in dataclasses.fields(SenderSettings)}
    if unknown := sorted(str(key) for key in settings if key not in known):
        raise exceptions.Refused(
            f'{where} in the senders file has the unknown key {quoting.shown(unknown[0])}', _known()
        )
    lost = words.boolean(settings.get('lost_is_down', False))
    if not isinstance(lost, bool):
        raise exceptions.Refused(
            f'lost_is_down of {where} is a {quoting.kind(lost)}', 'Write true or false'
        )
    return SenderSettings(
        tuple(_texts(f'host_labels of {where}', settings.get('host_labels', list(HOST_LABELS)))),
        tuple(_matcher(f'down_alerts of {where}', item) for item in _alerts(where, settings)),
        lost,
    )


def _known() -> str:
    return 'Known keys: ' + ', '.join(field.name for field in dataclasses.fields(SenderSettings))


def _texts(where: str, value: object) -> list[str]:
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(item, str) and item for item in value)
    ):
        raise exceptions.Refused(f'{where} is {quoting.shown(value)}', 'Write a list of labels')
    return value


def _alerts(where: str, settings: Mapping[str, object]) -> list[object]:
    value = settings.get('down_alerts') or []
    if not isinstance(value, list):
        raise exceptions.Refused(
            f'down_alerts of {where} is a {quoting.kind(value)}', 'Write a list of alerts'
        )
    return value


def _matcher(where: str, item: object) -> dict[str, str]:
    """A name of an alert, or labels with their values."""
    if isinstance(item, str) and item:
        return {'alertname': item}
    if (
        isinstance(item, collections.abc.Mapping)
        and item
        and all(isinstance(part, str) and part for pair in item.items() for part in pair)
    ):
        return dict(item)
    raise exceptions.Refused(
        f'{where} has {quoting.shown(item)}', 'Write the name of an alert, or labels with values'
    )
