# SPDX-License-Identifier: Apache-2.0
"""Fencing by a command: any agent of the fence-agents project."""

import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

from heat_ha import exceptions
from heat_ha.fencing import driver, model, program
from heat_ha.fencing.driver import Power
from heat_ha.fencing.rules import answers, programs, storage_programs, targets

# What it is asked for when a host is let in.
LET_IN = 'the storage of its host'


class Command(driver.Driver):
    """A program with the interface of fence-agents: options on its input, one a line.

    ``status`` ends with 0 for on and 2 for off, and says ``Status: ON`` or ``Status: OFF``, or what
    ``says_on`` and ``says_off`` name; ``off`` ends with 0 when the host is off.

    With ``cuts: storage`` OFF means that the host cannot write, and the host may run on. It gets
    its storage back as ``unfence`` says: by a person who does that on the host, or by the program
    with the action ``on``. Either way the status must say ON before the host is let in, of each of
    the ``devices`` in its options.
    """

    name = 'command'
    required = ('program',)
    optional = ('options', 'says_on', 'says_off', storage_programs.CUTS, storage_programs.UNFENCE)

    def __init__(self, host: str, settings: Mapping[str, Any]) -> None:
        super().__init__(host, settings)
        self._path = shutil.which(str(settings['program']))
        if self._path is None:
            raise exceptions.Refused(
                f'host {host}: the program {settings["program"]} is not installed'
            )
        self._options = settings.get('options') or {}
        if not isinstance(self._options, Mapping):
            raise exceptions.Refused(f'host {host}: options must be a map')
        self.cuts_power = storage_programs.cuts_power(host, settings)
        self.off_is_absence = not self.cuts_power
        unfence = settings.get(storage_programs.UNFENCE)
        self._is_unfenced_by_program = unfence == storage_programs.BY_PROGRAM
        self._plain = pathlib.Path(str(settings['program'])).name
        programs.check(host, self._plain, map(str, self._options), self.cuts_power)
        storage_programs.check(host, self._plain, unfence, self._options)
        for key, value in self._options.items():
            _check_option(host, str(key), value)

    @property
    def target(self) -> tuple[str, ...]:
        """The plug at an address, or the program and the options that tell it which host."""
        found = targets.of_program(str(self._path), self._options)
        return (self.name, *found)

    @property
    def targets(self) -> tuple[tuple[str, ...], ...]:
        """The target; of a program that removes a key from devices, the key."""
        if storage_programs.is_reserving(self._plain):
            return storage_programs.targets(self._plain, self._options)
        return super().targets

    @property
    def address(self) -> str:
        """Where a BMC is asked; of a power control with plugs many machines have one address."""
        return targets.address_of_machine(self._options)

    def _call(self, action: str, options: Mapping[Any, Any] | None = None) -> model.Said:
        options = {**(self._options if options is None else options), 'action': action}
        stdin = ''.join(f'{key}={value}\n' for key, value in options.items())
        return program.run([str(self.settings['program'])], limit=self.timeout, stdin=stdin)

    def power(self) -> tuple[Power, str]:
        """Ask the program for the status.

        Of several devices OFF is that none has the key. Where one has it, each is asked by itself:
        of some, it is ON and partial; where one gives no clear answer, UNKNOWN.
        """
        self.is_partial = False
        found, detail = self._status(self._options)
        if self.cuts_power or found is not Power.ON:
            return found, detail
        lacking = []
        for options in storage_programs.one_by_one(self._options):
            power, said = self._status(options)
            if power is Power.UNKNOWN:
                return power, said
            if power is Power.OFF:
                lacking.append(storage_programs.devices_of(options))
        if lacking:
            self.is_partial = True
            detail = f'{detail}; not of {", ".join(lacking)}'
        return found, detail

    def _status(self, options: Mapping[Any, Any]) -> tuple[Power, str]:
        own = (str(self.settings.get(key) or '') for key in ('says_on', 'says_off'))
        try:
            return answers.of_status(self._call('status', options), *own)
        except (driver.NotFenced, OSError) as exc:
            return Power.UNKNOWN, str(exc)

    def switch_off(self) -> None:
        """Let the program cut the power, or the host off from its storage."""
        said = self._call('off')
        if said.code:
            raise driver.NotFenced(
                f'{self.settings["program"]} ended with {said.code}: {said.text[-200:]}'
            )

    def let_in(self) -> None:
        """Let the host use its storage again, where a person has not done so; see that it may."""
        if self.cuts_power:
            return
        if self._is_unfenced_by_program:
            try:
                said = self._call('on')
            except (driver.NotFenced, OSError) as exc:
                raise exceptions.CouldNotAsk(self._plain, LET_IN, str(exc)) from exc
            if said.code:
                cause = f'action=on ended with {said.code}: {said.text[-200:]}'
                raise exceptions.CouldNotAsk(self._plain, LET_IN, cause)
        power, detail = self.power()
        if power is Power.ON and not self.is_partial:
            return
        if self._is_unfenced_by_program:
            cause = f'after action=on its status is {power.value}: {detail}'
            raise exceptions.CouldNotAsk(self._plain, LET_IN, cause)
        raise exceptions.Refused(
            f'host {self.host}: {self._plain} still shuts it out of its storage, or did not '
            f'answer: {detail}',
            f'Once no old guest runs on it, give it back on the host itself (as by {self._plain} '
            'with action=on there). Then it is let in',
        )


def _check_option(host: str, key: str, value: Any) -> None:
    """:raises exceptions.Refused: a value is not what the program would be told."""
    if targets.is_secret(key):
        driver.check_secret(host, key, value)
    is_seconds = isinstance(value, float) and targets.may_have_a_fraction(key)
    if not isinstance(value, (str, int)) and not is_seconds:
        # Of 1.10 only 1.1 is left.
        raise exceptions.Refused(
            f'host {host}: the value of the option {key!r} is neither a text nor a whole number',
            'Put it in quotes',
        )
    if targets.is_address(key):
        driver.check_address(host, key, value)
    if len(f'{key}{value}.'.splitlines()) > 1:
        raise exceptions.Refused(f'host {host}: the option {key!r} has more than one line')
