"""`python -m bench.router.outage`: the primary provider is killed under load and comes back; nothing may fail.

Two fake providers on real sockets, a real server with the default breaker (out for 30 s), streams and whole answers in
turn. What counts: requests that failed, but for streams that had begun when the provider died, and how long after its
return the primary is asked again.
"""

from __future__ import annotations

import argparse
import http.client
import json
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import yaml

from bench.penstock import command
from bench.process import Service, free_port, wait_until
from bench.sections import replace_section
from penstock.fakes import plans
from penstock.fakes.openai import FakeOpenAI

PAGE = Path(__file__).parent.parent / "RESULTS.md"
CLIENTS, DOWN_S, LIMIT_S = 16, 10.0, 60.0


class Load:
    """Clients that ask until they are told to stop. `seen`: by what came of it; `first_at`: the primary's last
    answer."""

    def __init__(self, port: int):
        self.seen: Counter[str] = Counter()
        self.first_at = 0.0
        self._port = port
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(number % 2 == 0,)) for number in range(CLIENTS)]

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, stream: bool) -> None:
        while not self._stop.is_set():
            what, model = self._ask(stream)
            with self._lock:
                self.seen[f"{what}, {model}"] += 1
                if model == "first@1" and what == "answered":
                    self.first_at = time.monotonic()
            time.sleep(0.02)

    def _ask(self, stream: bool) -> tuple[str, str]:
        body = {"model": "assistant", "stream": stream, "messages": [{"role": "user", "content": "one two three four"}]}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body))
            answer = connection.getresponse()
            text, model = answer.read(), answer.headers.get("x-penstock-model", "")
        finally:
            connection.close()
        if answer.status != 200:
            return f"failed with {answer.status}", model
        return ("broke in mid-stream" if b'"error"' in text else "answered"), model


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.router.outage", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the section into the page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penstock-bench-outage-") as folder:
        text = _section(Path(folder))
    print(text)
    if options.write:
        replace_section(PAGE, "outage", text)


def _section(folder: Path) -> str:
    with FakeOpenAI(plan=plans.Plan(gap_s=0.005)) as first, FakeOpenAI() as second:
        port = free_port()
        with Service(_argv(folder, first, second, port), {}, folder, folder / "log") as service:
            load = Load(port)
            if not wait_until(lambda: service.exited() is not None or _ready(port), 30):
                raise RuntimeError((folder / "log").read_text())
            load.start()
            try:
                back_s = _outage(first, load)
            finally:
                load.stop()
    lines = ["| what became of a request | how many |", "|---|---:|"]
    lines += [f"| {what} | {count:,} |" for what, count in load.seen.most_common()]
    failed = sum(count for what, count in load.seen.items() if what.startswith("failed"))
    lines += ["", f"- failed: {failed} (target 0, beyond streams that had begun)"]
    lines.append(
        f"- the primary was away for {DOWN_S:.0f} s, and asked again {back_s:.1f} s after its return (target 35)"
    )
    return "\n".join(lines)


def _outage(first: FakeOpenAI, load: Load) -> float:
    """Seconds from the primary's return to its first answer."""
    wait_until(lambda: load.seen["answered, first@1"] > 200, LIMIT_S)
    first.down()
    time.sleep(DOWN_S)
    first.up()
    back = time.monotonic()
    wait_until(lambda: load.first_at > back, LIMIT_S)
    took = load.first_at - back
    time.sleep(2.0)
    return took


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _argv(folder: Path, first: FakeOpenAI, second: FakeOpenAI, port: int) -> list[str]:
    config = {
        "models": {"first": f"{first.url}#gpt", "second": f"{second.url}#gpt"},
        "routes": {"assistant": {"models": ["first", "second"]}},
        "state": {"url": f"sqlite:///{folder}/penstock.db"},
    }
    path = folder / "penstock.yaml"
    path.write_text(yaml.safe_dump(config))
    return [*command(), "serve", str(path), "--port", str(port)]


if __name__ == "__main__":
    main()
