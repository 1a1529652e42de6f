import hashlib
import http.client
import json
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

import grokviz
from grokviz.cli.main import main
from grokviz.errors import GrokvizError
from grokviz.serving.watching import Watcher
from test_page import Opened

FLAGS = "--p 23 --train-fraction 0.6 --d-model 16 --n-heads 2 --d-head 8 --d-mlp 32 --threads 1".split()


@pytest.fixture
def copy(tiny_run: grokviz.Run, in_tmp_path: Path) -> grokviz.Run:
    """The tiny run as `copy` in the current directory."""
    return grokviz.open_run(shutil.copytree(tiny_run.directory, "copy"))


def asked(watcher: Watcher, path: str, method: str = "GET", host: str | None = None) -> tuple[int, str]:
    """Status and content of what the watcher's server answers."""
    address = watcher.url.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.request(method, path, headers={"Host": host or address})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def hashes(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_it_serves_the_report_to_this_machine_alone_and_touches_nothing(copy: grokviz.Run) -> None:
    before = hashes(copy.directory)
    with Watcher(copy) as watcher:
        assert watcher.url.startswith("http://127.0.0.1:")
        assert asked(watcher, "/")[1].count("Waiting: it has no checkpoint yet") == 1
        assert watcher.update()
        status, page = asked(watcher, "/")
        assert status == 200
        assert "connect-src &#39;self&#39;" in page
        assert 'data-live="yes" data-version="1"' in page
        assert json.loads(asked(watcher, "/version")[1]) == {"version": 1, "status": "finished", "live": True}
        assert not watcher.update()  # nothing is new
        for path in ("/config.json", "/../config.json", "/%2e%2e/config.json", "/?x"):
            assert asked(watcher, path)[0] == 404
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            assert asked(watcher, "/", method)[0] == 501
        assert asked(watcher, "/", host="evil.example")[0] == 403
    assert hashes(copy.directory) == before
    with pytest.raises(OSError, match="refused"):
        asked(watcher, "/")


def test_a_browser_that_goes_away_while_the_page_loads_is_passed_over_in_silence(copy: grokviz.Run, capfd) -> None:
    with Watcher(copy) as watcher:
        watcher.update()
        host, port = watcher.url.removeprefix("http://").rstrip("/").split(":")
        for _ in range(10):
            with socket.create_connection((host, int(port))) as browser:
                browser.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )  # it resets, as one does
                browser.sendall(f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
                browser.recv(1)
        assert asked(watcher, "/")[0] == 200  # by when those before have been answered
    assert capfd.readouterr().err == ""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_that_nothing_foresaw_is_said_on_the_page_and_it_is_no_longer_live(
    copy: grokviz.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **rest: object) -> None:
        raise ZeroDivisionError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr("grokviz.serving.watching.measure_in_memory", broken)
        with grokviz.watch(copy) as watcher:
            while watcher.is_live:
                time.sleep(0.01)
            said = json.loads(asked(watcher, "/version")[1])
    assert said["live"] is False
    assert (
        said["status"] == "finished; no longer followed, for an error that was not foreseen: ZeroDivisionError('a bug')"
    )


def test_a_port_that_is_taken_is_said(copy: grokviz.Run) -> None:
    with Watcher(copy) as watcher:
        port = int(re.search(r":(\d+)/", watcher.url)[1])
        with pytest.raises(GrokvizError, match=rf"port {port} cannot be used \(Address already in use\); leave it out"):
            Watcher(copy, port=port)


def test_damage_is_said_and_the_last_page_stays(copy: grokviz.Run, tiny_config) -> None:
    with Watcher(copy) as watcher:
        watcher.update()
        page = watcher.page()
        grokviz.resume(copy, epochs=60, progress=False)
        newest = copy.refresh().epochs[-1]
        (copy.directory / "checkpoints" / f"epoch_{newest:06d}.safetensors").write_bytes(b"nothing")
        assert not watcher.update()
        assert watcher.page() == page
        assert "damaged" in watcher.status
        assert "finished; " in watcher.status


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("watch nothing", "nothing is not there; give the directory of a run"),
        ("watch copy --port 70000", "port is 70000, but must be at most 65535"),
        ("watch copy --port x", "--port"),
    ],
)
def test_bad_input_gets_one_line(line: str, said: str, copy: grokviz.Run, capsys) -> None:
    assert main(line.split()) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.slow
@pytest.mark.browser
def test_the_page_grows_while_a_run_trains_and_through_its_end_and_its_going_on(browser, in_tmp_path: Path) -> None:
    # given a run that trains in a process of its own, and a page that watches it
    command = [sys.executable, "-m", "grokviz.cli"]
    options = [*FLAGS, *"--epochs 1000000 --checkpoint-every 2500 --geometric-checkpoints 4 --quiet --out run".split()]
    trainer = subprocess.Popen([*command, "train", *options])
    while not (Path("run") / "manifest.json").exists():
        time.sleep(0.05)
    with grokviz.watch("run") as watcher:
        opened = Opened(browser, watcher.url)

        # when checkpoints come, then the page has them, and its cursor goes along with the end
        opened.wait_until("Number(document.documentElement.dataset.version) >= 3")
        opened.wait_until("document.getElementById('live').textContent === 'live: training'")
        opened.wait_until("grokviz.state.get('epoch') === grokviz.run.stops[grokviz.run.stops.length - 1]")

        # when the reader has gone back to look at something, then the page grows and he stays there
        looked_at = opened.run("grokviz.run.stops[1]")
        opened.go(looked_at)
        opened.show("weights")
        version = int(opened.page.get_attribute("html", "data-version"))
        opened.wait_until(f"Number(document.documentElement.dataset.version) > {version}")
        assert opened.run("[grokviz.state.get('epoch'), grokviz.state.get('tab')]") == [looked_at, "weights"]

        # when the training is ended, and goes on, then the page says and shows so
        trainer.terminate()
        trainer.wait()
        opened.wait_until("document.getElementById('live').textContent === 'live: interrupted'")
        opened.wait_until(f"grokviz.run.stops.includes({grokviz.open_run('run').epochs[-1]})")
        more = int(grokviz.open_run("run").history["epoch"][-1]) + 700
        subprocess.run([*command, "resume", "run", "--epochs", str(more), "--quiet"], check=True)
        opened.wait_until(f"grokviz.run.stops.includes({more})")
        opened.wait_until("document.getElementById('live').textContent === 'live: finished'")
    opened.wait_until("document.getElementById('live').textContent.startsWith('no longer live')")
    problems = [problem for problem in opened.problems if "Failed to load resource" not in problem]
    assert problems == []
    opened.page.close()


@pytest.mark.slow
def test_run_with_watch_serves_while_it_trains_and_ends_with_it(in_tmp_path: Path) -> None:
    options = [*FLAGS, *"--epochs 30 --out mine --watch".split()]
    done = subprocess.run(
        [sys.executable, "-m", "grokviz.cli", "run", *options], capture_output=True, text=True, check=True, timeout=300
    )
    assert "report: mine/report.html" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    for url in re.findall(r"watching: http://(\S+)/", done.stdout):  # a short run may end before it is watched
        with pytest.raises(OSError, match="refused"):
            http.client.HTTPConnection(url, timeout=5).request("GET", "/")
