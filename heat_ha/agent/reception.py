# SPDX-License-Identifier: Apache-2.0
"""Taking what a sender posts about hosts, and answering what became of each part of it."""

import dataclasses
import http
import json
from collections.abc import Callable, Mapping
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions, quoting
from heat_ha.agent import metrics, report_table
from heat_ha.agent.rules import json_bodies, report_senders, reports
from heat_ha.agent.rules.sender_settings import SenderSettings
from heat_ha.agent.web_server import MAX_BODY_BYTES

LOG = logging.getLogger(__name__)

# So many of each kind are listed in an answer; the count is always that of all.
MAX_LISTED = 20

Take = Callable[[reports.ParsedReport], report_table.Arrival]


@dataclasses.dataclass(frozen=True)
class Answer:
    """A status of HTTP, and what the body of the answer says."""

    status: http.HTTPStatus
    body: Mapping[str, Any]


def say(status: http.HTTPStatus, text: str) -> Answer:
    """Answer with one sentence."""
    return Answer(status, {'message': text})


class Reception:
    """Reads bodies, and hands over what they report.

    :param take: takes one report. :raises exceptions.Refused: its host is unknown;
        :raises exceptions.CouldNotAsk: its host is not known yet, or not shown now.
    :param settings: how a sender's bodies are read, by its name.
    """

    def __init__(self, take: Take, settings: Mapping[str, SenderSettings]) -> None:
        self._take = take
        self._settings = settings
        self._last_wrong: dict[str, str] = {}

    def post(self, sender: str, raw: bytes) -> Answer:
        """Take a body as it came. Each part counts by itself, whatever the others are."""
        try:
            found = report_senders.read(
                json_bodies.parse(raw), self._settings.get(sender, SenderSettings())
            )
        except exceptions.Refused as exc:
            return self._refuse(sender, [str(exc)])
        except RecursionError:
            # What can just be parsed may be too deep for what is done with it.
            return self._refuse(sender, ['the body is nested too deeply. Send a flat JSON object'])
        metrics.IGNORED.labels(sender).inc(len(found.ignored))
        arrived: list[dict[str, str]] = []
        wrong = list(found.refused)
        metrics.REFUSED.labels('webhook', 'form').inc(len(wrong))
        unasked = ''
        for one in found.reports:
            try:
                arrival = self._take(dataclasses.replace(one, sender=sender))
            except exceptions.Refused as exc:
                wrong.append(str(exc))
            except exceptions.CouldNotAsk as exc:
                unasked = unasked or str(exc)
            else:
                arrived.append({'host': one.host, 'says': one.claimed.value, 'is': arrival.value})
        if unasked:
            # Nothing of it is lost: the sender sends all of it again, which repeats the rest.
            return say(http.HTTPStatus.SERVICE_UNAVAILABLE, f'{unasked}. Send it again')
        if wrong and not arrived and not found.ignored:
            return self._refuse(sender, wrong, is_counted=True)
        if wrong:
            self._warn(sender, wrong)
        return Answer(
            http.HTTPStatus.ACCEPTED,
            {
                'message': f'{len(arrived)} reports taken, {len(found.ignored)} ignored, '
                f'{len(wrong)} refused',
                'reports': arrived[:MAX_LISTED],
                'ignored': list(found.ignored[:MAX_LISTED]),
                'refused': wrong[:MAX_LISTED],
            },
        )

    def _refuse(self, sender: str, wrong: list[str], is_counted: bool = False) -> Answer:
        if not is_counted:
            metrics.REFUSED.labels('webhook', 'form').inc(len(wrong))
        self._warn(sender, wrong)
        return Answer(
            http.HTTPStatus.BAD_REQUEST, {'message': wrong[0], 'refused': wrong[:MAX_LISTED]}
        )

    def _warn(self, sender: str, wrong: list[str]) -> None:
        """Tell the operator, because many senders show nobody what they are answered.

        A sender that repeats itself is warned of once.
        """
        more = f' (and {len(wrong) - 1} more)' if len(wrong) > 1 else ''
        text = quoting.shorten(wrong[0]) + more
        if self._last_wrong.get(sender) != text:
            self._last_wrong[sender] = text
            LOG.warning('source=webhook sender=%s refused: %s', sender, text)


def body_of(environ: Mapping[str, Any]) -> bytes | Answer:
    """The body of a request, which the server has read by now; or why there is none."""
    try:
        size = int(environ.get('CONTENT_LENGTH') or 0)
    except ValueError:
        return say(http.HTTPStatus.BAD_REQUEST, 'Content-Length is not a number')
    if size <= 0:
        return say(http.HTTPStatus.BAD_REQUEST, 'the body is empty. Send a JSON object')
    if size > MAX_BODY_BYTES:
        return say(http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f'send 1 to {MAX_BODY_BYTES} bytes')
    raw: bytes = environ['wsgi.input'].read(size)
    return raw


def send(found: Answer, start: Callable[..., Any]) -> list[bytes]:
    """Answer as WSGI has it."""
    body = json.dumps(found.body).encode()
    headers = [('Content-Type', 'application/json'), ('Content-Length', str(len(body)))]
    if found.status is http.HTTPStatus.UNAUTHORIZED:
        headers.append(('WWW-Authenticate', 'Bearer'))
    start(f'{found.status.value} {found.status.phrase}', headers)
    return [body]
