# SPDX-License-Identifier: Apache-2.0
"""Giving a host its storage back, and renewing the fence of one that must not have it."""

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.fencing import driver, inventory, model

LOG = logging.getLogger(__name__)


def in_storage(host: str, fences: inventory.Inventory) -> inventory.Drivers:
    """The fences of a host that leave it on and cut it off from its storage.

    :raises exceptions.Refused: its settings are wrong.
    """
    found = (one for level in fences.levels(host) for one in level)
    return tuple(one for one in found if one.is_power_control and not one.cuts_power)


def let_in(host: str, fences: inventory.Inventory, proof: model.Proof | None = None) -> int:
    """Let a host use its storage again. Nothing of before may be left on it.

    :param proof: of its fence. What gave it and is not in its entry any more is named.
    :returns: how many fences were taken back; done again, it is harmless.
    :raises exceptions.HaError: one of them was not.
    """
    found = in_storage(host, fences)
    for one in found:
        try:
            one.let_in()
        finally:
            one.close()
        LOG.info('host=%s driver=%s lets it use its storage again', host, one.name)
    if proof is not None:
        _warn_of_gone(host, proof, found)
    return len(found)


def _warn_of_gone(host: str, proof: model.Proof, found: inventory.Drivers) -> None:
    gone = model.beside(proof.storage_drivers, (one.name for one in found))
    if gone:
        LOG.warning(
            'host=%s its fence in the storage was not taken back: its entry does not have the '
            'driver %s any more, as a fence in the storage. Take it back where it was made (of '
            'ceph: ceph osd blocklist rm). It was: %s',
            host, ', '.join(gone), proof.how,
        )  # fmt: skip


def keep_off(host: str, proof: model.Proof, fences: inventory.Inventory) -> None:
    """Renew the fences that have given a proof, where they end by themselves."""
    try:
        found = fences.proved_by(host, proof)
    except exceptions.Refused as exc:
        LOG.warning('host=%s its fence is not renewed: %s', host, exc)
        return
    for one in found:
        _keep_off(host, one)


def _keep_off(host: str, one: driver.Driver) -> None:
    try:
        one.keep_off()
    except Exception as exc:
        # It holds for some time yet, and is tried again before that is over.
        LOG.warning('host=%s driver=%s its fence is not renewed: %s', host, one.name, exc)
    finally:
        one.close()
