# SPDX-License-Identifier: Apache-2.0
"""heat-ha-agent check: ask everything that a rescue needs, before a host fails."""

import concurrent.futures
import time
from collections.abc import Callable, Mapping

from heat_ha import exceptions
from heat_ha.agent.adapters import credential
from heat_ha.agent.rules import heartbeats
from heat_ha.cloud.model import ComputeService
from heat_ha.fencing import inventory, model, survey
from heat_ha.fencing.rules import findings

# Fences that are asked at once.
WORKERS = 8

# Seconds for which a host is waited for to report, and between two looks: Nova's report_interval
# is 10 s by default.
REPORT_SECONDS, POLL_SECONDS = 30.0, 2.0

Services = Mapping[str, ComputeService]


def run(
    fences: inventory.Inventory,
    services: Callable[[], Services],
    rights: Callable[[], list[credential.Right]],
    pause: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.time,
) -> int:
    """Check, and print what was found.

    :param services: asks Nova for its hosts.
    :param rights: tries the credential.
    :returns: 0 when a rescue has all that it needs, else 1.
    :raises exceptions.Refused: the fencing file is wrong.
    """
    fences.check()
    shown = _hosts(services)
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        asked = pool.map(lambda host: survey.ask(host, fences, now), sorted(fences.hosts))
        answers = [answer for own in asked for answer in own]
    for answer in answers:
        print(_line(answer))
    found = [
        *findings.of_names(*survey.fenced(fences, answers), shown),
        *findings.of_answers(answers, shown),
    ]
    suspects = {one.host for one in found if one.kind is findings.Kind.OFF_WHILE_UP}
    if suspects:
        print(f'waiting whether {", ".join(sorted(suspects))} reports to Nova')
        found += _reporting(fences, answers, suspects, services, pause, now)
    for finding in found:
        print(finding)
    problems = [right for right in rights() if _print_right(right)]
    is_bad = any(one.kind.weight is not findings.Weight.NOTICE for one in found)
    return 1 if is_bad or problems else 0


def _hosts(services: Callable[[], Services]) -> Services | None:
    try:
        return services()
    except exceptions.HaError as exc:
        print(exc)
        return None


def _line(answer: model.Answer) -> str:
    power = answer.power.value if answer.is_power_control else '-'
    return f'{answer.host} level {answer.level} {answer.driver}: {power} ({answer.detail})'


def _print_right(right: credential.Right) -> bool:
    print(f'credential: {right.call}: {right.problem or "yes"}')
    return bool(right.problem)


def _reporting(
    fences: inventory.Inventory,
    answers: list[model.Answer],
    suspects: set[str],
    services: Callable[[], Services],
    pause: Callable[[float], None],
    now: Callable[[], float],
) -> list[findings.Finding]:
    """Which hosts report to Nova while their fences show them as off."""
    again: dict[str, list[model.Answer]] = {}
    reports: dict[str, list[heartbeats.Heartbeat]] = {host: [] for host in suspects}
    deadline = now() + REPORT_SECONDS
    before: dict[str, ComputeService] = {}
    before_at = float('-inf')
    # What may have been under way when the fences were asked is over then.
    pause(findings.GRACE_SECONDS)
    while now() < deadline and any(
        len(found) < findings.ENOUGH_REPORTS for found in reports.values()
    ):
        pause(POLL_SECONDS)
        began = now()
        shown = _hosts(services)
        if shown is None:
            continue
        for host in suspects & shown.keys():
            if host in before and heartbeats.is_heartbeat(before[host], shown[host]):
                reports[host].append(heartbeats.Heartbeat(before_at, now()))
            before[host] = shown[host]
        before_at = began
    for host in suspects:
        again[host] = survey.ask(host, fences, now)
    return [
        findings.Finding(first.host, findings.Kind.OFF_WHILE_REPORTING, first.driver)
        for host in sorted(suspects)
        for first, second in zip(
            [one for one in answers if one.host == host], again[host], strict=True
        )
        if findings.reported_while_off([_look(first), _look(second)], reports[host])
    ]


def _look(answer: model.Answer) -> model.Look:
    return model.Look(answer.at, answer.power, answer.detail)
