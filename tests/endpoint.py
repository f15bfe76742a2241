"""A small server that speaks OpenAI's API over real HTTP, and misbehaves on demand.

In a thread: `with Endpoint() as endpoint:`. In a process of its own: `python -m tests.endpoint PORT DELAY [LIMIT]`.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

OK = "ok"
NO_ANSWERS = ["429", "429-retry-after", "500", "hang", "reset", "truncated", "broken-json", "gateway-page"]
"""Faults of the endpoint: the call is to be repeated."""
NO_VERDICTS = ["cut-off", "prose", "wrong-schema", "refusal"]
"""Faults of the model: there is an answer, and it is not a verdict."""
ABOUT_TEXTS = {"content_filter": 400, "context_length_exceeded": 400}
Grade = Callable[[str, str], int]


@dataclass
class Limit:
    """A token bucket: `rate` calls a second, at most `burst` at once; `told`: whether headers speak of it."""

    rate: float
    burst: float
    told: bool = True
    level: float = field(init=False)
    at: float = field(init=False)

    def __post_init__(self) -> None:
        self.level, self.at = self.burst, time.monotonic()

    def takes(self) -> bool:
        now = time.monotonic()
        self.level, self.at = min(self.burst, self.level + self.rate * (now - self.at)), now
        if self.level < 1:
            return False
        self.level -= 1
        return True

    def headers(self) -> dict[str, str]:
        if not self.told:
            return {}
        return {
            "x-ratelimit-limit-requests": f"{self.burst:g}",
            "x-ratelimit-remaining-requests": f"{int(self.level)}",
            "x-ratelimit-reset-requests": f"{(self.burst - int(self.level)) / self.rate:.3f}s",
        }


@dataclass
class Endpoint:
    """What it does, and what it has seen."""

    fault: Callable[[int, str], str] = lambda number, text: OK
    """Number of the call and the text to rate → a fault, or OK."""
    special: Callable[[dict[str, Any]], tuple[int, Any, dict[str, str]] | None] = lambda request: None
    """A request → status, body (bytes as they are, else as JSON) and headers; or None for what `fault` says."""
    delay: float = 0.0
    grade: Grade = lambda text, dimension: 1 + sum(map(ord, text + dimension)) % 5
    limit: Limit | None = None
    retry_after: str = "1"
    starts_after: float = 0.0
    batch_status: Callable[[int], str] = lambda look: "completed"
    """How often a batch has been looked at → its status."""
    batch_line: Callable[[int, dict[str, Any]], list[str] | None] = lambda number, line: None
    """Number and request of a batch's line → the lines of its output, or None for what the model says."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    """The head of every request."""
    statuses: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    """How often each text got a good verdict."""
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    looks: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        self._loop, ready = asyncio.new_event_loop(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=[ready], daemon=True)
        self._thread.start()
        if not self.starts_after:
            ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, ready: threading.Event) -> None:
        time.sleep(self.starts_after)
        serve = self._loop.create_server(lambda: Connection(self), "127.0.0.1", self.port)
        server = self._loop.run_until_complete(serve)
        ready.set()
        self._loop.run_forever()
        server.close()

    # ---- what it answers

    def text(self, request: dict[str, Any]) -> str:
        return json.loads(request["messages"][1]["content"])["answer"]

    def completion(self, request: dict[str, Any], kind: str = OK) -> dict[str, Any]:
        names = request["response_format"]["json_schema"]["schema"]["required"]
        text = self.text(request)
        said = json.dumps({name: self.grade(text, name) for name in names})
        message: dict[str, Any] = {"role": "assistant", "content": said}
        if kind == OK:
            self.verdicts[text] += 1
        message |= {
            "cut-off": {"content": said[:5]}, "prose": {"content": "I would say 3."}, "refusal": {"refusal": "No."},
            "wrong-schema": {"content": json.dumps(dict.fromkeys(names, "3"))},
        }.get(kind, {})  # fmt: skip
        choice = {"index": 0, "finish_reason": "length" if kind == "cut-off" else "stop", "message": message}
        usage = {"prompt_tokens": 300, "completion_tokens": 12, "total_tokens": 312}
        return {"id": "x", "object": "chat.completion", "created": 0, "model": f"{request['model']}-of-today",
                "choices": [choice], "usage": usage}  # fmt: skip

    def other(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Files and batches: status and body."""
        if path == "/v1/files":
            id = f"file-{len(self.files)}"
            self.files[id] = re.search(rb'filename="[^"]*".*?\r\n\r\n(.*?)\r\n--', body, re.DOTALL).group(1)  # type: ignore[union-attr]
            return 200, json.dumps({"id": id, "object": "file", "bytes": 1, "created_at": 0, "filename": "f",
                                    "purpose": "batch", "status": "processed"}).encode()  # fmt: skip
        if path.startswith("/v1/files/"):
            file = self.files.get(path.split("/")[3])
            return (404, b'{"error": {"message": "No such File object"}}') if file is None else (200, file)
        if path == "/v1/batches" and method == "POST":
            wanted = json.loads(body)
            batch = {"id": f"batch-{len(self.batches)}", "object": "batch", "created_at": int(time.time()),
                     "endpoint": wanted["endpoint"], "completion_window": "24h", "status": "validating",
                     "input_file_id": wanted["input_file_id"], "metadata": wanted["metadata"]}  # fmt: skip
            self.batches[batch["id"]] = batch
            return 200, json.dumps(batch).encode()
        if path.startswith("/v1/batches?"):
            listed = {"object": "list", "data": list(self.batches.values())[::-1], "has_more": False}
            return 200, json.dumps(listed).encode()
        batch = self.batches.get(path.split("/")[3])
        if batch is None:
            return 404, b'{"error": {"message": "No batch found", "code": null}}'
        return 200, json.dumps(self._look(batch)).encode()

    def _look(self, batch: dict[str, Any]) -> dict[str, Any]:
        self.looks[batch["id"]] += 1
        batch["status"] = self.batch_status(self.looks[batch["id"]])
        if batch["status"] in ("completed", "expired") and "output_file_id" not in batch:
            lines: list[str] = []
            for number, line in enumerate(self.files[batch["input_file_id"]].decode().splitlines()):
                request = json.loads(line)
                written = self.batch_line(number, request)
                lines += [self.line(request)] if written is None else written
            batch["output_file_id"] = f"output-{batch['id']}"
            self.files[batch["output_file_id"]] = "\n".join(lines).encode()
        return batch

    def line(self, request: dict[str, Any], kind: str = OK) -> str:
        """A line of a batch's output."""
        body = self.completion(request["body"], kind)
        answer = {"custom_id": request["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}
        return json.dumps(answer)


class Connection(asyncio.Protocol):
    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint, self.buffer = endpoint, b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].decode("latin-1")
            length = re.search(r"content-length: *(\d+)", head, re.IGNORECASE)
            size = end + 4 + (int(length.group(1)) if length else 0)
            if len(self.buffer) < size:
                return
            body, self.buffer = self.buffer[end + 4 : size], self.buffer[size:]
            method, path, _ = head.split("\r\n")[0].split(" ")
            self.endpoint.heads.append(head)
            self.handle(method, path, body)

    def handle(self, method: str, path: str, body: bytes) -> None:
        if path != "/v1/chat/completions":
            self.reply(*self.endpoint.other(method, path, body))
            return
        endpoint, request = self.endpoint, json.loads(body)
        endpoint.requests.append(request)
        kind = endpoint.fault(len(endpoint.requests), endpoint.text(request))
        if endpoint.limit and not endpoint.limit.takes():
            kind = "429-retry-after"
        headers = endpoint.limit.headers() if endpoint.limit else {}
        endpoint.statuses[kind] += 1
        endpoint.in_flight += 1
        endpoint.most_in_flight = max(endpoint.most_in_flight, endpoint.in_flight)
        asyncio.get_running_loop().call_later(endpoint.delay, self.answer, kind, request, headers)

    def answer(self, kind: str, request: dict[str, Any], headers: dict[str, str]) -> None:
        self.endpoint.in_flight -= 1
        if special := self.endpoint.special(request):
            status, body, more = special
            self.reply(status, body if isinstance(body, bytes) else json.dumps(body).encode(), headers | more)
        elif kind == "hang":
            return
        elif kind == "reset":
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
        elif kind in ("429", "429-retry-after"):
            wait = {"retry-after": self.endpoint.retry_after} if kind == "429-retry-after" else {}
            self.reply(429, b'{"error": {"message": "slow down", "code": "rate_limit_exceeded"}}', headers | wait)
        elif kind == "500":
            self.reply(500, b'{"error": {"message": "later"}}')
        elif kind == "truncated":
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{")
            self.transport.close()
        elif kind == "broken-json":
            self.reply(200, json.dumps(self.endpoint.completion(request, "broken")).encode()[:-9])
        elif kind == "gateway-page":
            self.reply(502, b"<html>Bad gateway</html>")
        elif kind.isdecimal() or ":" in kind:
            status, _, code = kind.partition(":")
            self.reply(int(status), json.dumps({"error": {"message": "not today", "code": code or None}}).encode())
        elif kind in ABOUT_TEXTS:
            self.reply(ABOUT_TEXTS[kind], json.dumps({"error": {"message": "no", "code": kind}}).encode())
        else:
            self.reply(200, json.dumps(self.endpoint.completion(request, kind)).encode(), headers)

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        if self.transport.is_closing():
            return
        lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def some_faults(share: float, kinds: list[str], seed: int = 0) -> Callable[[int, str], str]:
    """A share of all calls, each with one of the faults."""
    draw = random.Random(seed)
    return lambda number, text: draw.choice(kinds) if draw.random() < share else OK


if __name__ == "__main__":
    port, delay, *rest = sys.argv[1:]
    limited = Limit(float(rest[0]) / 60, 10, told=rest[1:] != ["silent"]) if rest else None
    endpoint = Endpoint(delay=float(delay), limit=limited, port=int(port))
    with endpoint:
        sys.stdin.read()
    print(json.dumps({"calls": len(endpoint.requests), "statuses": endpoint.statuses}))
