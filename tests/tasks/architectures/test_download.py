"""A download tells how far it is, through the hub's own code."""

from __future__ import annotations

import http.server
import io
import threading

from huggingface_hub.file_download import http_get

from tasks.architectures.download import bars_that_tell
from tasks.runtime.progress import Report

SIZE = 25_000_000


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(SIZE))
        self.end_headers()
        self.wfile.write(bytes(SIZE))

    def log_message(self, *_: object) -> None:
        pass


def test_a_download_tells_its_megabytes_and_draws_nothing(capfd) -> None:
    heard: list[Report] = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        file = io.BytesIO()
        file.name = "model.safetensors"
        http_get(f"http://127.0.0.1:{served.server_port}/model", file, tqdm_class=bars_that_tell(heard.append))
        served.shutdown()
    assert len(file.getvalue()) == SIZE
    assert heard[-1] == Report("download", 25.0, 25.0, "MB")
    assert [report.done for report in heard] == sorted(report.done for report in heard)
    assert capfd.readouterr().err == ""


def test_of_bytes_received_and_written_those_that_are_most_are_told() -> None:
    heard: list[Report] = []
    kind = bars_that_tell(heard.append)
    received, written, files = kind(total=0, unit="B"), kind(total=0, unit="B"), kind(total=2)
    received.total = written.total = 4_000_000
    written.update(1_000_000)
    received.update(3_000_000)
    written.update(1_000_000)
    files.update()
    assert [report.done for report in heard] == [1, 3, 3]
