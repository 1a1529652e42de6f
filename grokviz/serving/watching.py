"""A run's report while it trains: served on this machine alone, new as checkpoints come. Nothing in the run is touched."""

import json
import math
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import xarray as xr

from grokviz.analysis.reading.scalars import by_epoch
from grokviz.analysis.taking.measuring import measure_in_memory
from grokviz.checks import as_path, whole
from grokviz.errors import GrokvizError, NoRunError
from grokviz.monitoring.monitor import Monitor
from grokviz.report import render_report
from grokviz.report.assembling import rendered
from grokviz.store import Run, open_run
from grokviz.training.trackers import Tracker

ADDRESS = "127.0.0.1"
SECONDS_BETWEEN_LOOKS = 1.0
NOT_BEGUN = "its loop has shown no model yet"
SHARE_OF_TIME = 0.5
"""The most of its time that watching works: after an update of 5 seconds it looks again 5 seconds later."""


class Watcher:
    """The page of a run at `url`. A class, because it holds a server, and what it has measured so far.

    `update` looks for new checkpoints, measures them in memory, and serves the new page; `follow` does so until it is ended. It
    is a context manager, at whose end the server ends.
    """

    def __init__(self, run: Run | Monitor | str | Path, *, port: int = 0, tracker: Tracker | None = None) -> None:
        """A server of the run's page on this machine's own address; the system chooses a free port if it is 0. Of a monitor that
        has seen nothing yet, there need not be a run.
        """
        self.directory = as_path("run", run)
        self.run = _opened(self.directory, may_come=isinstance(run, Monitor))
        self.status = self.run.status if self.run else NOT_BEGUN
        self.is_live = True
        """Whether what is new will be served."""
        self.version = 0
        self._page = _waiting(self.directory, "it has no checkpoint yet" if self.run else NOT_BEGUN)
        self._measurements: xr.Dataset | None = self.run.measurements if self.run and self.run.is_measured else None
        self._seen: object = None
        self._tracker = tracker
        self._tracked: set[int] = set()
        """The epochs whose measures the tracker has been told."""
        self._ended = threading.Event()
        port = whole("port", port, least=0, most=65_535)
        try:
            self._server = _Server((ADDRESS, port), _handler(self))
        except OSError as error:
            raise GrokvizError(
                f"port {port} cannot be used ({error.strerror}); leave it out, and a free one is chosen"
            ) from error
        threading.Thread(target=self._server.serve_forever, name="grokviz watch", daemon=True).start()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self._server.server_address[1]}/"

    def update(self) -> bool:
        """Look for what is new, and serve it. Whether there was anything; what cannot be read now is tried the next time."""
        try:
            self.run = run = self.run.refresh() if self.run else _opened(self.directory, may_come=True)
            if run is None:
                return False
            seen = (run.epochs, run.status)
            self.status = run.status
            if seen == self._seen or not run.epochs:
                return False
            measurements = measure_in_memory(run, known=self._measurements)
            self._page = render_report(run, measurements, version=self.version + 1, progress=False)
        except GrokvizError as error:
            self.status = f"{self.run.status}; {error}" if self.run else str(error)
            if self.version == 0:
                self._page = _waiting(self.directory, str(error))
            return False
        self._measurements, self._seen = measurements, seen
        self.version += 1
        self._track(measurements)
        return True

    def _track(self, measurements: xr.Dataset) -> None:
        """Tell the tracker of the epochs that are new, as they are measured now."""
        if self._tracker is None:
            return
        table = by_epoch(measurements)
        for epoch in table.index.difference(sorted(self._tracked)).tolist():
            values = {str(name): float(value) for name, value in table.loc[epoch].items() if math.isfinite(value)}
            self._tracker.measured(epoch, values)
            self._tracked.add(epoch)

    def follow(self) -> None:
        """Update until it is closed: through the end of the training, and its going on.

        An error that nothing foresaw ends it, and the page says so: it is served on as it was last.
        """
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                worked = self.update()
            except Exception as error:
                status = self.run.status if self.run else NOT_BEGUN
                self.status = f"{status}; no longer followed, for an error that was not foreseen: {error!r:.200}"
                self.is_live = False
                raise
            took = time.monotonic() - began
            pause = took * (1 / SHARE_OF_TIME - 1) if worked else 0.0
            self._ended.wait(max(SECONDS_BETWEEN_LOOKS, pause))

    def page(self) -> str:
        """The page as it is now."""
        return self._page

    def close(self) -> None:
        """End the server."""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def watch(run: Run | Monitor | str | Path, *, port: int = 0, tracker: Tracker | None = None) -> Watcher:
    """A server, on this machine alone, of the page of a run that may still train, which is brought up to date in the background.

    A monitor is watched from before its first step on. `.url` is where to look; the page takes in new checkpoints as they are
    measured. Nothing in the run is changed, and it goes on through the end of the training and its going on. `.close()`, or the
    end of a `with` block, ends it.

    A `tracker` of `grokviz.trackers` is told every measure that is one number an epoch, or one for each split, of each checkpoint
    once, as it was measured when it was new: with the key frequencies of then.

    Raises:
        GrokvizError: there is no run, or the port is taken.
    """
    watcher = Watcher(run, port=port, tracker=tracker)
    threading.Thread(target=watcher.follow, name="grokviz watch: measuring", daemon=True).start()
    return watcher


class _Server(ThreadingHTTPServer):
    """A server that says nothing of a browser that went away before it had all that it asked for."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Complain of what a request came to, unless nobody is there any more."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def _handler(watcher: Watcher) -> type[BaseHTTPRequestHandler]:
    """What answers requests: the page, its version, and nothing else; and to this machine alone, whatever a name resolves to."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = self.headers.get("Host", "").rsplit(":", 1)[0]
            if host not in (ADDRESS, "localhost"):
                self.send_error(403, "this page is for this machine alone")
            elif self.path == "/":
                self._answer("text/html; charset=utf-8", watcher.page())
            elif self.path == "/version":
                said = {"version": watcher.version, "status": watcher.status, "live": watcher.is_live}
                self._answer("application/json", json.dumps(said))
            else:
                self.send_error(404)

        def _answer(self, kind: str, text: str) -> None:
            content = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing: a page asks every second."""

    return Handler


def _waiting(directory: Path, reason: str) -> str:
    """What is served before there is anything to show; it asks again by itself."""
    return rendered("waiting.html", name=directory.resolve().name, reason=reason)


def _opened(directory: Path, *, may_come: bool) -> Run | None:
    """The run in `directory`; None where there is none yet, and one may come.

    Raises:
        GrokvizError: there is none, or it cannot be read.
    """
    try:
        return open_run(directory, begun=False)
    except NoRunError:
        if not may_come:
            raise
        return None
