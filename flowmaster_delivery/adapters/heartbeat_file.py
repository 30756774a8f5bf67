"""Heartbeats in a file: written by the process that works, read by the probe beside it.

Whether the writer lives is told by a lock that it holds as long as it does: a process that was
killed leaves a file behind, and its number may be given to the next one. Standard library only: a
probe starts every few seconds.
"""

from __future__ import annotations

import fcntl
import json
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO

from flowmaster_delivery.model.errors import Malformed
from flowmaster_delivery.model.pulse import Beat, Heart, Turn
from flowmaster_delivery.redaction import hidden

LOG = logging.getLogger(__name__)
FOLDER = "heartbeats"


class HeartbeatFile:
    """`ports.Heartbeat` in HOME/heartbeats/PART.json. Nothing is written before the first turn.

    A file that cannot be written is told by log, once, and hinders nothing.
    """

    def __init__(
        self, home: Path, part: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._home, self._part, self._monotonic = home, part, monotonic
        self._started = monotonic()
        self._beats: dict[str, Beat] = {}
        self._running: dict[object, tuple[str, float]] = {}
        self._guard = threading.Lock()
        self._lock: IO[str] | None = None
        self._complained = False

    def close(self) -> None:
        """As at the end of the process: nobody beats here any more."""
        with self._guard:
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    @contextmanager
    def during(self, name: str, every: float | None = None) -> Iterator[Turn]:
        turn, token = Turn(), object()
        self._begin(name, every, token)
        try:
            yield turn
        except BaseException as error:
            turn.trouble = turn.trouble or f"{type(error).__name__}: {error}"
            raise
        finally:
            self._end(name, token, turn.trouble)

    def _begin(self, name: str, every: float | None, token: object) -> None:
        with self._guard:
            self._running[token] = name, self._monotonic()
            known = self._beats.get(name) or Beat(name)
            self._beats[name] = replace(known, every=every)
            self._write()

    def _end(self, name: str, token: object, trouble: str) -> None:
        with self._guard:
            del self._running[token]
            now, known = self._monotonic(), self._beats[name]
            succeeded, words = known.succeeded if trouble else now, hidden(trouble)
            self._beats[name] = replace(known, ended=now, succeeded=succeeded, trouble=words)
            self._write()

    def _write(self) -> None:
        try:
            self._hold()
            text = json.dumps(
                {
                    "started": self._started,
                    "beats": [asdict(self._with_running(beat)) for beat in self._beats.values()],
                }
            )
            beside = _file(self._home, self._part).with_suffix(".new")
            beside.write_text(text, encoding="utf-8")
            beside.replace(_file(self._home, self._part))
        except OSError as error:
            if not self._complained:
                LOG.warning("no heartbeat of %s can be written: %s", self._part, error)
            self._complained = True

    def _with_running(self, beat: Beat) -> Beat:
        began = [at for name, at in self._running.values() if name == beat.name]
        return replace(beat, running_since=min(began, default=None))

    def _hold(self) -> None:
        """Raise OSError where another process beats here."""
        if self._lock is None:
            path = _lock_file(self._home, self._part)
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = path.open("w", encoding="utf-8")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                raise
            self._lock = lock
            weakref.finalize(self, lock.close)


def read_heart(home: Path, part: str) -> Heart | None:
    """The heart of the process that beats here now; None where none does.

    Raise Malformed for a file that is not of our form.
    """
    if not _is_held(_lock_file(home, part)):
        return None
    path = _file(home, part)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        beats = tuple(Beat(**beat) for beat in told["beats"])
        return Heart(part, float(told["started"]), beats)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Malformed(f"the heartbeat {path} cannot be read: {error}") from error


def _is_held(path: Path) -> bool:
    with suppress(FileNotFoundError), path.open(encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _file(home: Path, part: str) -> Path:
    return home / FOLDER / f"{part}.json"


def _lock_file(home: Path, part: str) -> Path:
    return home / FOLDER / f"{part}.lock"
