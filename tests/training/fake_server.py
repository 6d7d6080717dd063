"""A vLLM for the tests of PPO's rollouts, an actor that is its version, and a client of both."""

import json
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE_S
from tests.training.asked import END, SAMPLING
from training.engine.ppo.rollouts import Answer, Served

LOGPROBS = [-5.0, -6.0, -5.5]  # near those of a model that knows nothing of 264 tokens


class Fake:
    """vLLM as far as it goes: adapters by name, answers that tell which one gave them."""

    def __init__(self) -> None:
        self.loaded: dict[str, str] = {}
        self.log: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.failures: list[int] = []
        self.endings: list[str] = []
        self.restarts = 0
        self.refuses = False  # loads
        self.keeps = False  # what it is to unload
        self.held: list[int] | None = None  # the prompt that waits; None: all do
        self.next = False  # whether the next one asked is the one
        self.hold, self.loads = threading.Event(), threading.Event()
        self.hold.set()
        self.loads.set()
        self.turn = threading.Lock()  # of adapters, as vLLM has one of each name
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._reply(200, {"data": [{"id": one} for one in ("base", *fake.loaded)]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._reply(*fake.answer(self.path, body))

            def _reply(self, status: int, body: Any) -> None:
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self.handler = Handler
        self.port = 0
        self.start()
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Fake":
        return self

    def __exit__(self, *_: object) -> None:
        self.hold.set()
        self.loads.set()
        self.away()

    def hold_next(self) -> None:
        """The next prompt gets no answer, the others do."""
        self.next, self.held = True, []
        self.hold.clear()

    def start(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), self.handler)
        self.server.block_on_close = False
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def away(self) -> None:
        """Nobody is let in; who is in, stays, as when vLLM is asked to end."""
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path != "/v1/completions":
            with self.turn:
                return self.adapter(path, body["lora_name"], body.get("lora_path", ""))
        if self.failures:
            return self.failures.pop(), {"error": "busy"}
        if self.restarts and self.asked:
            self.restarts -= 1
            self.loaded.clear()
            self.log.append("restart")
        self.asked.append(body)
        if self.next:
            self.next, self.held = False, body["prompt"]
        if self.held is None or self.held == body["prompt"]:
            self.hold.wait(PATIENCE_S)
        if body["model"] not in self.loaded:
            return 404, {"error": "no such model"}
        return 200, {"choices": [self.choice(n, body) for n in reversed(range(body["n"]))]}

    def adapter(self, path: str, name: str, place: str) -> tuple[int, Any]:
        if path == "/v1/unload_lora_adapter":
            if self.keeps:
                return 503, "busy"
            if name not in self.loaded:
                return 404, "it is not there"
            self.log.append(f"unload {self.loaded.pop(name)}")
            return 200, "ok"
        self.loads.wait(PATIENCE_S)
        if self.refuses:
            return 500, "the rank is too high"
        weights = Path(place, "weights")
        self.loaded[name] = weights.read_text() if weights.exists() else "7"
        self.log.append(f"load {self.loaded[name]}")
        return 200, "ok"

    def choice(self, number: int, body: dict[str, Any]) -> dict[str, Any]:
        tokens = [int(self.loaded[body["model"]]), len(body["prompt"]), END]
        ending = self.endings.pop() if self.endings else "stop"
        return {
            "index": number,
            "finish_reason": ending,
            "token_ids": tokens[: 0 if ending == "abort" else None],
            "logprobs": {"token_logprobs": LOGPROBS},
        }


class Actor:
    """Its weights are its version."""

    version = 0

    def write(self, folder: Path) -> str:
        folder.mkdir(parents=True)
        (folder / "weights").write_text(str(self.version))
        return f"{self.version:064d}"[::-1]


def client(fake: Fake, folder: Path, actor: Actor, told: list[str] | None = None) -> Served:
    tell = ([] if told is None else told).append
    return Served(fake.url, folder / "served", SAMPLING, actor.write, tell)


def first(sampled: Sequence[tuple[Answer, ...]]) -> Answer:
    return sampled[0][0]
