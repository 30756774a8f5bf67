"""Python's own edges: log records, and the last words of a thread or a process that breaks.

A record is changed where it is made, not by a filter on a handler: so it holds for every logger and
every handler, Dagster's log of a run included, whoever sets them up later.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

Hide = Callable[[str], str]
_guarded = threading.Event()
_guarding = threading.Lock()


def guard_process(hide: Hide) -> None:
    """Let all log records and uncaught errors of this process pass through `hide`, once for all."""
    if _guarded.is_set():
        return
    with _guarding:
        if _guarded.is_set():
            return
        logging.setLogRecordFactory(_factory(logging.getLogRecordFactory(), hide))
        sys.excepthook = _of_process(hide)
        threading.excepthook = _of_thread(hide)
        _guarded.set()


Factory = Callable[..., logging.LogRecord]


def _factory(made_by: Factory, hide: Hide) -> Factory:
    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = made_by(*args, **kwargs)
        try:
            said = _said(record)
        except Exception:  # noqa: BLE001  # a wrong format string: logging itself complains of it
            return record
        shown = hide(said)
        if shown != said:
            record.msg, record.args, record.exc_info = shown, (), None
        return record

    return make


def _said(record: logging.LogRecord) -> str:
    """The message with the error that it is about, as handlers write them."""
    message = record.getMessage()
    if not record.exc_info or record.exc_info[0] is None:
        return message
    return f"{message}\n{logging.Formatter().formatException(record.exc_info)}"


def _of_process(
    hide: Hide,
) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(hide("".join(traceback.format_exception(kind, error, trace))))

    return tell


def _of_thread(hide: Hide) -> Callable[[threading.ExceptHookArgs], None]:
    def tell(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is SystemExit:
            return
        name = args.thread.name if args.thread else "?"
        said = traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback)
        sys.stderr.write(hide(f"Exception in thread {name}:\n{''.join(said)}"))

    return tell
