# SPDX-License-Identifier: Apache-2.0
"""Asking the fences while nothing has failed, so that a wrong or dead one is known before.

Nothing is switched off. What is found is logged once, and counted for Prometheus.
"""

import collections
import concurrent.futures
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.agent import metrics, service_table
from heat_ha.fencing import inventory, model, survey
from heat_ha.fencing.rules import absences, findings

LOG = logging.getLogger(__name__)

# Fences that are asked at once.
WORKERS = 8

# Seconds between two looks at which fences are due.
TICK = 5.0

# Seconds until a fence is asked again that shows a host as off which Nova shows as up.
SOON = 20.0

# Looks that are retained of a fence: as many as a host may need for some reports, each minute one.
RETAINED = 16

# Seconds between two questions to a fence that its host has contradicted, where the operator wants
# each fence to be asked only at the start.
AGAIN = 600.0

# Seconds for which Nova must not have shown a host before it counts as gone: it leaves the hosts of
# a cell out while the cell's database does not answer.
GONE_AFTER = 86400.0

# A first look logs in, asks, and logs out, each within the time of one call.
CALLS_OF_A_LOOK = 3

# Seconds after which an entry that is wrong is named again.
REMIND = 3600.0


class FenceWatch:
    """Asks each fence of the fencing file again and again.

    :param interval: seconds between two questions to a fence; 0: only at the start.
    :param removed: by host, what the fences of its open incident have removed from storages; None
        while the records have not been read.
    """

    def __init__(
        self,
        fences: inventory.Inventory,
        table: service_table.ServiceTable,
        interval: float = 0.0,
        now: Callable[[], float] = time.time,
        removed: Callable[[str], Collection[str] | None] = lambda _host: (),
    ) -> None:
        self._fences = fences
        self._removed = removed
        self._table = table
        self._interval = interval
        self._now = now
        self._over = threading.Event()
        self._answers: dict[str, list[model.Answer]] = {}
        # By host and number of the fence: the last looks.
        self._looks: dict[tuple[str, int], collections.deque[model.Look]] = {}
        # Likewise what has contradicted it. An entry is read at the start, so that stands until
        # then, or until the two were seen to go off and on together.
        self._contradicted: dict[tuple[str, int], findings.Finding] = {}
        self._agreements: dict[tuple[str, int], findings.Agreement] = {}
        # Likewise whose name it gave, until it gives that of its own host, or nobody has the name.
        self._misnamed: dict[tuple[str, int], findings.Finding] = {}
        self._absences = absences.Absences()
        # When Nova last showed each host.
        self._shown: dict[str, float] = {}
        # Those that have clearly answered once.
        self._reached: set[tuple[str, int]] = set()
        # Hosts that are asked at the next look.
        self._wanted: set[str] = set()
        # The thread of each host that is asked because it is about to be fenced.
        self._urgent: dict[str, threading.Thread] = {}
        # Answers are noted by the threads that ask.
        self._guard = threading.RLock()
        self._logged: set[findings.Finding] = set()
        self._reminded_at = 0.0

    def start(self) -> None:
        """Ask in a thread of its own until ``stop``."""
        threading.Thread(target=self._run, name='fences', daemon=True).start()

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()

    def _run(self) -> None:
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            while not self._over.wait(TICK):
                try:
                    # Nothing can be compared before Nova has answered once.
                    if self._table.services:
                        self.look(pool)
                except Exception:
                    LOG.exception('the fences could not be asked')

    def wrong(self, host: str) -> str:
        """Why the host may not be fenced by its entry; '' when nothing speaks against it.

        A power control that was never reached is asked first whose machine it has. When it does not
        answer within the time of its calls, nothing speaks against it.
        """
        if limit := self._limit_of_a_first_look(host):
            self._urgent_look(host).join(limit)
        return next((str(one) for one in _wrong(self.found()) if one.host == host), '')

    def ask_soon(self, host: str) -> None:
        """Ask the fences of a host that is let be: it may still be shut out from its storage."""
        self._wanted.add(host)

    def _limit_of_a_first_look(self, host: str) -> float:
        """How many seconds a host's power controls may take to give a name; 0: not to be asked."""
        if host not in self._fences.hosts:
            return 0.0
        try:
            levels = self._fences.levels(host)
        except exceptions.Refused:
            # Its fence says what is wrong with its entry.
            return 0.0
        drivers = enumerate(one for level in levels for one in level)
        unknown = [one for n, one in drivers if one.has_facts and (host, n) not in self._reached]
        # They are asked one after the other.
        return sum(CALLS_OF_A_LOOK * one.timeout for one in unknown)

    def _urgent_look(self, host: str) -> threading.Thread:
        """Begin to ask the fences of one host at once, unless that is under way already."""
        with self._guard:
            running = self._urgent.get(host)
            if running is not None and running.is_alive():
                return running
            made = threading.Thread(target=self._look_at, args=(host,), name='fences', daemon=True)
            self._urgent[host] = made
            made.start()
            return made

    def _look_at(self, host: str) -> None:
        self._ask(host)
        self._keep_names([host])

    def found(self) -> list[findings.Finding]:
        """All that was found about the answers of the fences."""
        with self._guard:
            answers = [one for own in self._answers.values() for one in own]
            kept = [
                *self._contradicted.values(), *self._misnamed.values(),
                *self._absences.found.values(),
            ]  # fmt: skip
            misnamed = {host for host, _number in self._misnamed}
        return kept + [
            one
            for one in findings.of_answers(answers, self._table.services)
            if one.kind is not findings.Kind.NAME_OF_ANOTHER or one.host not in misnamed
        ]

    def look(self, pool: concurrent.futures.Executor) -> None:
        """Ask the fences that are due, and note what they answer."""
        due = [host for host in sorted(self._fences.hosts) if self._is_due(host)]
        # Each answer is noted when it comes: the slowest fence holds up none of the others.
        for _done in pool.map(self._ask, due):
            pass
        self._keep_names(due)
        found = {*self.found(), *self._of_names()}
        for one in sorted(found - self._known(found), key=str):
            level = logging.WARNING if one.kind.weight is findings.Weight.NOTICE else logging.ERROR
            LOG.log(level, 'fence %s', one)
        for one in sorted(self._logged - found, key=str):
            LOG.info('fence no longer %s', one)
        self._logged = found
        wrong = {one.host for one in _wrong(found)}
        for host in self._fences.hosts:
            metrics.FENCE_WRONG.labels(host).set(host in wrong)

    def _known(self, found: set[findings.Finding]) -> set[findings.Finding]:
        """What need not be logged now: it was before, unless it is time for a reminder."""
        if self._now() - self._reminded_at < REMIND:
            return self._logged
        self._reminded_at = self._now()
        return self._logged - set(_wrong(found))

    def _of_names(self) -> list[findings.Finding]:
        """What the names of the entries mean beside Nova's list, where there are entries."""
        if not self._fences.hosts:
            return []
        with self._guard:
            answers = [one for own in self._answers.values() for one in own]
        return findings.of_names(*survey.fenced(self._fences, answers), self._table.services)

    def _ask(self, host: str) -> None:
        # Before: what is wanted while they answer is another question.
        self._wanted.discard(host)
        own = survey.ask(host, self._fences, self._now)
        with self._guard:
            self._note(host, own)

    def _keep_names(self, hosts: Iterable[str]) -> None:
        """Keep in mind which of the fences that were asked gave the name of another host.

        That stands until the fence clearly answers with the name of its own host. An answer without
        a name, or none at all, says nothing about it (S2). It also ends when the other host has
        been neither in the fencing file nor in Nova for long: then there is no such machine.
        """
        services, now = self._table.services, self._now()
        with self._guard:
            if services:
                # Without any host Nova's list was not read, and says nothing about who is gone.
                self._shown.update(dict.fromkeys(services, now))
                self._shown = {h: at for h, at in self._shown.items() if now - at < GONE_AFTER}
            there = {*self._fences.hosts, *self._shown}
            # Once for all: the names of many hosts are many.
            known = findings.Names(there)
            for fence, kept in list(self._misnamed.items()):
                if kept.other not in there:
                    del self._misnamed[fence]
            for host in hosts:
                for number, answer in enumerate(self._answers.get(host, ())):
                    if misnamed := findings.name_of_another(answer, known):
                        self._misnamed[host, number] = misnamed
                    elif findings.is_own_name(answer, known):
                        self._misnamed.pop((host, number), None)

    def _is_due(self, host: str) -> bool:
        own = self._answers.get(host)
        if own is None or host in self._wanted:
            return True
        asked = [one for one in own if one.is_power_control]
        if not asked:
            return False
        age = self._now() - max(one.at for one in asked)
        if age < 0:
            # The clock was set back.
            return True
        with self._guard:
            fences = (*self._contradicted, *self._misnamed, *self._absences.found)
            wrong = {known for known, _number in fences}
        if host in wrong:
            return age >= (self._interval or AGAIN)
        service = self._table.services.get(host)
        is_off = any(one.shuts_out for one in asked)
        if is_off and service is not None and service.is_up:
            return age >= SOON
        return 0 < self._interval <= age

    def _note(self, host: str, own: Sequence[model.Answer]) -> None:
        self._answers[host] = list(own)
        for number, answer in enumerate(own):
            if not answer.is_power_control:
                continue
            labels = (host, str(answer.level), answer.driver)
            metrics.FENCE_REACHABLE.labels(*labels).set(answer.power is not model.Power.UNKNOWN)
            metrics.FENCE_ASKED.labels(*labels).set(answer.at)
            if answer.power is not model.Power.UNKNOWN:
                self._reached.add((host, number))
            if answer.cuts_power:
                # A host whose storage is fenced may report.
                self._compare((host, number), answer)
            elif answer.off_is_absence:
                heartbeats = self._table.heartbeats_of(host)
                self._absences.note((host, number), answer, heartbeats, self._removed(host))

    def _compare(self, fence: tuple[str, int], answer: model.Answer) -> None:
        """Compare what a fence answered with what its host reports."""
        host, _number = fence
        looks = self._looks.setdefault(fence, collections.deque(maxlen=RETAINED))
        looks.append(model.Look(answer.at, answer.power, answer.detail))
        if findings.reported_while_off(list(looks), self._table.heartbeats_of(host)):
            self._contradicted[fence] = findings.Finding(
                host, findings.Kind.OFF_WHILE_REPORTING, f'{answer.driver}: {answer.detail}'
            )
            self._agreements[fence] = findings.Agreement.NONE
            looks.clear()
        if fence not in self._contradicted:
            return
        does = findings.reporting(
            self._table.services.get(host), self._table.last_heartbeat(host), self._now()
        )
        self._agreements[fence] = findings.next_agreement(
            self._agreements[fence], answer.power, does
        )
        if self._agreements[fence] is findings.Agreement.FULL:
            del self._contradicted[fence], self._agreements[fence]


def _wrong(found: Iterable[findings.Finding]) -> Iterator[findings.Finding]:
    return (one for one in found if one.kind.weight is findings.Weight.WRONG)
