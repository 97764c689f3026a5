# SPDX-License-Identifier: Apache-2.0
"""Show scenes to a person: redrawn in place on a terminal, as lines of changes elsewhere."""

import contextlib
from collections.abc import Callable, Iterator

import rich.console
import rich.live
import rich.table
import rich.text

from demo import scene

_STYLES = {scene.WAITS: 'dim', scene.RUNS: 'yellow', scene.DONE: 'green', scene.FAILED: 'red'}

# Where the volume was before this many changes is of no interest any more.
_MOMENTS = 8

Show = Callable[[scene.Scene], None]


class Screen:
    """The console, with or without a terminal behind it."""

    def __init__(self) -> None:
        self._console = rich.console.Console(highlight=False, soft_wrap=True)

    def say(self, text: str = '') -> None:
        """Print a line, or several."""
        self._console.print(text, markup=False)

    @contextlib.contextmanager
    def waiting(self, text: str, *, only_live: bool = False) -> Iterator[Callable[[str], None]]:
        """Say what is waited for; the function that is given says how far it is.

        :param only_live: how far it is changes all the time: nothing of it is for a log.
        """
        if not self._console.is_terminal:
            self.say(text)
            say = _changes(lambda more: self.say(f'  {more}'))
            yield (lambda _more: None) if only_live else say
            return
        with self._console.status(text) as status:
            yield lambda more: status.update(f'{text}: {more}')

    @contextlib.contextmanager
    def scenes(self) -> Iterator[Show]:
        """Give a function that shows a scene in place of the one before."""
        if not self._console.is_terminal:
            yield _Lines(self.say).show
            return
        with rich.live.Live(console=self._console, auto_refresh=False) as live:
            yield lambda seen: live.update(_drawn(seen), refresh=True)


def timed(since: float, text: str) -> str:
    """A line with the seconds since the fault."""
    return f'{since:7.1f} s  {text}'


def _changes(say: Callable[[str], None]) -> Callable[[str], None]:
    last = ['']

    def say_if_new(text: str) -> None:
        if text != last[0]:
            last[0] = text
            say(text)

    return say_if_new


class _Lines:
    """A line for each change from one scene to the next."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._steps: dict[str, str] = {}
        self._moments: set[tuple[float, str]] = set()
        self._group = ''

    def show(self, seen: scene.Scene) -> None:
        """Print what is new in the scene."""
        for moment in seen.moments:
            if moment not in self._moments:
                self._tell(moment[0], f'volume: {moment[1]}')
        self._moments |= set(seen.moments)
        for step in seen.steps:
            if self._steps.get(step.words) != step.state and step.state != scene.WAITS:
                is_over = step.state != scene.RUNS and step.seconds is not None
                took = f', {step.seconds:.2f} s' if is_over else ''
                self._tell(seen.since, f'{step.words}: {step.state}{took}')
            self._steps[step.words] = step.state
        group = '; '.join(f'{m.name} {part}{_trouble(m.status)}' for m, part in seen.members)
        if seen.members and group != self._group:
            self._group = group
            self._tell(seen.since, f'group: {group}')

    def _tell(self, since: float, text: str) -> None:
        self._say(timed(since, text))


def _trouble(status: str) -> str:
    """The state of a member in Heat, where it says more than that it is there."""
    words = {'CREATE_IN_PROGRESS': ' (being made)', 'DELETE_IN_PROGRESS': ' (being deleted)'}
    return words.get(status, f' ({status})' if status.endswith('FAILED') else '')


def _drawn(seen: scene.Scene) -> rich.console.Group:
    steps = rich.table.Table(title=seen.title, title_justify='left', title_style='bold')
    steps.add_column('step')
    steps.add_column('state')
    steps.add_column('seconds', justify='right')
    for step in seen.steps:
        style = _STYLES[step.state]
        seconds = '' if step.seconds is None else f'{step.seconds:.1f}'
        steps.add_row(step.words, rich.text.Text(step.state, style), seconds)
    places = rich.table.Table()
    places.add_column('seconds', justify='right')
    places.add_column('who has the volume, says Cinder')
    for since, place in seen.moments[-_MOMENTS:]:
        places.add_row(f'{since:.1f}', place)
    group = rich.table.Table()
    for heading in ('member', 'server', 'state in Heat', 'part'):
        group.add_column(heading)
    for member, part in seen.members:
        group.add_row(member.name, member.server[:8], member.status, part)
    return rich.console.Group(steps, places, group)
