"""A scripted stand-in for vLLM on a real socket: answers well, or as badly as it is told to."""

import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.patience import PATIENCE_S

Json = dict[str, Any]
Behaviour = Callable[["Handler"], None]


class FakeVllm:
    """Serves `models` (name -> parent, "" for a base). `script` holds what the next completion
    requests meet, in order; afterwards the answers are good."""

    def __init__(self, models: dict[str, str] | None = None, *, port: int = 0) -> None:
        self.models = models if models is not None else {"base": ""}
        self.script: list[Behaviour] = []
        self.always: Behaviour | None = None  # for every path
        self.start_time = 1000.5
        self.running = 0  # requests in progress, as /metrics tells
        self.mixes_up = False  # a base answers like the last adapter when requests overlap
        self.ignores_adapters = False  # an adapter answers as its base
        self.hides_tokenize = False
        self.loads_adapters = True  # --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING
        self.max_loras = 4
        self.folders: dict[str, str] = {}  # of the adapters loaded at run time
        self.lists_only = False  # an adapter that it says it loaded is unknown to its engine
        self.forgotten: set[str] = set()  # listed, but unknown to its engine until loaded again
        self.lora_calls: list[str] = []  # "load name", "unload name"
        self.lora_script: list[Behaviour] = []  # what the next of these calls meet
        self.busy_with: set[str] = set()  # adapters in progress, as /metrics tells
        self.tells_load = False  # /metrics tells of the requests that are really in progress
        self.most_loaded = 0  # adapters at once
        self.api_key = ""
        self.requests: list[Json] = []
        self.under_way: list[Json] = []
        self.most_at_once = 0
        self.delay_s = 0.0
        self.released = threading.Event()
        self._lock = threading.Lock()
        self._at_once = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def restart(self) -> None:
        """Another process, without the adapters."""
        self.start_time += 1
        self.models = {name: parent for name, parent in self.models.items() if not parent}
        self.folders.clear()

    def adapters(self) -> list[str]:
        return [name for name, parent in self.models.items() if parent]

    def in_progress(self) -> set[str]:
        """Names of the adapters that are answering."""
        if not self.tells_load:
            return self.busy_with
        with self._lock:
            asked = {body["model"] for body in self.under_way if "max_tokens" in body}
        return {name for name in asked if self.models.get(name)}

    def enter(self, body: Json) -> None:
        with self._lock:
            self.requests.append(body)
            self.under_way.append(body)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)

    def leave(self, body: Json) -> None:
        with self._lock:
            self.under_way.remove(body)
            self._at_once -= 1

    def next_behaviour(self) -> Behaviour | None:
        with self._lock:
            return self.script.pop(0) if self.script else None

    def answer(self, body: Json) -> Json:
        """What a healthy vLLM replies to a request for completions."""
        voice = body["model"]
        if self.mixes_up and self._at_once > 1 and not self.models[voice]:
            voice = list(self.models)[-1]
        if self.ignores_adapters:
            voice = self.models[voice] or voice
        return good_reply(body, voice)


def good_reply(body: Json, voice: str | None = None) -> Json:
    voice = voice or body["model"]
    tokens = [f"token_id:{sum(map(ord, voice)) % 97 + place}" for place in range(3)]
    value = -0.5 - (sum(map(ord, voice)) % 7)
    content = [
        {
            "token": token,
            "logprob": value,
            "bytes": None,
            "top_logprobs": [
                {"token": token, "logprob": value, "bytes": None},
                {"token": "token_id:0", "logprob": -9.0, "bytes": None},
            ]
            if body.get("top_logprobs")
            else [],
        }
        for token in tokens[: body["max_tokens"]]
    ]
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": f"{voice} says {index}"},
            "logprobs": {"content": content},
            "finish_reason": "stop",
        }
        for index in range(body["n"])
    ]
    total = len(content) * body["n"]
    return {
        "id": "chatcmpl-1",
        "model": body["model"],
        "choices": choices,
        "system_fingerprint": "vllm-fake",
        "usage": {"prompt_tokens": 7, "completion_tokens": total, "total_tokens": 7 + total},
    }


CONTROL = ("<|im_start|>", "<|im_end|>")  # tokens 1 and 2; every other character is its own


def tokenized(body: Json) -> Json:
    """ChatML, a token a character. Settings of the template begin the text."""
    text = body.get("prompt", "")
    if "messages" in body:
        settings = body.get("chat_template_kwargs")
        text = json.dumps(settings) if settings else ""
        for turn in body["messages"]:
            text += f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n"
        text += "<|im_start|>assistant\n" if body.get("add_generation_prompt", True) else ""
    forms = "|".join(map(re.escape, CONTROL))
    parts = [part for part in re.split(f"({forms})", text) if part]
    texts = [one for part in parts for one in ([part] if part in CONTROL else part)]
    ids = [1 + CONTROL.index(one) if one in CONTROL else 3 + ord(one) for one in texts]
    return {"count": len(ids), "tokens": ids, "token_strs": texts}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeVllm
    body: Json

    def log_message(self, format: str, *args: Any) -> None:
        """Tests need no access log."""

    def do_GET(self) -> None:
        if self.fake.always:
            self.fake.always(self)
        elif self.path == "/health":
            self.send(200, b"")
        elif not self._authorized():
            pass
        elif self.path == "/metrics":
            self.send(200, self._metrics())
        elif self.path == "/v1/models":
            self.send_json(200, {"object": "list", "data": self._cards()})
        else:
            self.send_json(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        self.body = json.loads(self.rfile.read(size))
        self.fake.enter(self.body)
        try:
            self._post()
        finally:
            self.fake.leave(self.body)

    def _post(self) -> None:
        if not self._authorized():
            return
        if self.path.endswith("_lora_adapter"):
            self._change_adapters()
            return
        behaviour = self.fake.always or self.fake.next_behaviour()
        if self.path == "/tokenize" and not self.fake.hides_tokenize:
            self.send_json(200, tokenized(self.body))
        elif behaviour:
            behaviour(self)
        elif self.path == "/tokenize":
            self.send_json(404, {"detail": "Not Found"})
        elif self.body["model"] not in self.fake.models or self._is_a_lie():
            error(404, f"The model `{self.body['model']}` does not exist.")(self)
        else:
            time.sleep(self.fake.delay_s)
            self.send_json(200, self.fake.answer(self.body))

    def _is_a_lie(self) -> bool:
        name = self.body["model"]
        return name in self.fake.forgotten or (
            self.fake.lists_only and bool(self.fake.models[name])
        )

    def _change_adapters(self) -> None:
        fake = self.fake
        verb, name = self.path.split("/")[-1].split("_")[0], self.body["lora_name"]
        behaviour = fake.always or (fake.lora_script.pop(0) if fake.lora_script else None)
        if behaviour:
            behaviour(self)
        elif not fake.loads_adapters:
            self.send_json(404, {"detail": "Not Found"})
        elif verb == "load" and name in fake.models:
            error(400, f"The lora adapter '{name}' has already been loaded.")(self)
        elif verb == "unload" and name not in fake.models:
            error(404, f"The lora adapter '{name}' cannot be found.")(self)
        else:
            fake.lora_calls.append(f"{verb} {name}")
            fake.forgotten.discard(name)
            if verb == "load":
                fake.folders[name] = self.body["lora_path"]
                fake.models |= {name: next(iter(fake.models))}
                fake.most_loaded = max(fake.most_loaded, len(fake.adapters()))
            else:
                del fake.models[name]
            self.send(200, b"Success")

    def _authorized(self) -> bool:
        """Of every route but /health, as with the middleware that servers are started with."""
        expected = f"Bearer {self.fake.api_key}"
        if self.fake.api_key and self.headers.get("Authorization") != expected:
            self.send_json(401, {"error": "Unauthorized"})
            return False
        return True

    def _cards(self) -> list[Json]:
        return [
            {
                "id": name,
                "root": self.fake.folders.get(name, f"/models/{name}"),
                "parent": parent or None,
                "max_model_len": 2048,
            }
            for name, parent in self.fake.models.items()
        ]

    def _metrics(self) -> bytes:
        busy = self.fake.in_progress()
        running = max(self.fake.running, len(busy) if self.fake.tells_load else 0)
        return (
            "# TYPE process_start_time_seconds gauge\n"
            f"process_start_time_seconds {self.fake.start_time}\n"
            f'vllm:num_requests_running{{engine="0",model_name="base"}} {running}.0\n'
            'vllm:num_requests_waiting{engine="0",model_name="base"} 0.0\n'
            f'vllm:lora_requests_info{{max_lora="{self.fake.max_loras}",'
            f'running_lora_adapters="{",".join(busy)}",'
            'waiting_lora_adapters=""} 1.7e+09\n'
        ).encode()

    def send_json(self, status: int, body: Any) -> None:
        self.send(status, json.dumps(body).encode())

    def send(self, status: int, raw: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


def _handler(fake: FakeVllm) -> type[Handler]:
    return type("BoundHandler", (Handler,), {"fake": fake})


# --- what can go wrong ----------------------------------------------------------------------


def raw(body: bytes, status: int = 200) -> Behaviour:
    return lambda handler: handler.send(status, body)


def error(status: int, message: str) -> Behaviour:
    return lambda handler: handler.send_json(status, {"error": {"message": message}})


def changed(change: Callable[[Json], object]) -> Behaviour:
    """A good answer with one thing changed."""

    def behave(handler: Handler) -> None:
        reply = good_reply(handler.body)
        change(reply)
        handler.send_json(200, reply)

    return behave


def hang(handler: Handler) -> None:
    handler.fake.released.wait(PATIENCE_S)
    handler.close_connection = True


def hang_up(handler: Handler) -> None:
    handler.close_connection = True


def break_off(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"model"')
    handler.close_connection = True


def trickle(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not handler.fake.released.wait(0.02):
        try:
            handler.wfile.write(b" ")
            handler.wfile.flush()
        except OSError:
            break
    handler.close_connection = True
