"""The load generator: a process of its own, as light as Python allows, because it shares the cores with the servers.

`python -m tests.benchmarks.load PORT CLIENTS SECONDS FILE` asks the pickled requests in FILE in turn, each client
waiting for its answer before it asks again, and prints one JSON object. Only the standard library, so that it starts
at once.
"""

import json
import pickle
import select
import socket
import sys
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

#: How every good answer begins; an error has `null` there, or another status.
OK, GOOD = b"HTTP/1.1 200 ", b'{"data":{"'
END_OF_HEADERS, LENGTH = b"\r\n\r\n", b"content-length: "


class Client:
    """One connection that is kept open, with one request under way."""

    def __init__(self, port: int, requests: Sequence[bytes], start: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.requests = islice(cycle(requests), start, None)
        self.received = b""
        self.missing: int | None = None
        self.sent_at = 0

    def ask(self) -> None:
        self.received, self.missing = b"", None
        self.sent_at = time.perf_counter_ns()
        self.socket.sendall(next(self.requests))

    def receive(self) -> bool:
        """Read what has arrived; return whether the response is complete."""
        part = self.socket.recv(1 << 18)
        if not part:
            raise ConnectionError("the server closed the connection")
        if self.missing is not None:
            self.missing -= len(part)
            self.received = self.received or part
        else:
            self._read_headers(part)
        return self.missing == 0

    def _read_headers(self, part: bytes) -> None:
        head, end, body = (self.received + part).partition(END_OF_HEADERS)
        if not end:
            self.received += part
            return
        if not head.startswith(OK):
            raise ValueError(f"bad answer: {head + body!r:.500}")
        length = head.lower().partition(LENGTH)[2].partition(b"\r\n")[0]
        self.received, self.missing = body, int(length) - len(body)


def run(port: int, clients: int, seconds: float, requests: Sequence[bytes]) -> dict[str, Any]:
    """Send requests for so many seconds; return the latencies of the responses."""
    step = len(requests) // clients
    asking = {client.socket.fileno(): client for client in (Client(port, requests, n * step) for n in range(clients))}
    poll = select.epoll()
    for number in asking:
        poll.register(number, select.EPOLLIN)
    latencies_ns: list[int] = []
    began, began_cpu = time.perf_counter_ns(), time.process_time()
    for client in asking.values():
        client.ask()
    end = now = began
    end += int(seconds * 1e9)
    while now < end:
        for number, _ in poll.poll():
            client = asking[number]
            if client.receive():
                now = time.perf_counter_ns()
                latencies_ns.append(now - client.sent_at)
                if not client.received.startswith(GOOD):
                    raise ValueError(f"bad answer: {client.received!r:.500}")
                client.ask()
    return _summary(latencies_ns, (now - began) / 1e9, time.process_time() - began_cpu)


def _summary(latencies_ns: list[int], seconds: float, cpu_s: float) -> dict[str, Any]:
    latencies_ns.sort()
    count = len(latencies_ns)
    return {
        "answers": count,
        "seconds": seconds,
        "p50_ms": latencies_ns[count // 2] / 1e6,
        "p99_ms": latencies_ns[min(count * 99 // 100, count - 1)] / 1e6,
        "load_cpu_s": cpu_s,
    }


def main() -> None:
    port, clients, seconds, file = sys.argv[1:]
    requests = pickle.loads(Path(file).read_bytes())
    sys.stdout.write(json.dumps(run(int(port), int(clients), float(seconds), requests)))


if __name__ == "__main__":
    main()
