"""Answers by transformers and by a server; versions of the actor; one step ahead and no more."""

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.packs import tokens
from tests.training.tiny import CAUSAL_KINDS, tiny_model
from training.engine.errors import Passing, SpecError, Stopped
from training.engine.groups import Group, Tokens
from training.engine.head import head_logprobs
from training.engine.packing import pack
from training.engine.ppo.rollouts import Ahead, Answer, Local, Sampling, Served, served
from training.engine.ppo.rollouts.ahead import Asked
from training.engine.scorers import LogProbs

END = 2
SAMPLING = Sampling(samples=3, max_new_tokens=12, temperature=0.8, ends=(END,), pad=0)
PROMPTS = (tokens(9, 1), tokens(4, 2), tokens(6, 3))


class Stop:
    requested = False


# --- transformers ----------------------------------------------------------------------------


def local(budget: int = 10_000, kind: str = "llama", **changes: Any) -> Local:
    settings = {**{name: getattr(SAMPLING, name) for name in SAMPLING.__slots__}, **changes}
    model = tiny_model(kind)
    with torch.no_grad():
        model.lm_head.weight[END] = model.lm_head.weight.mean(0) * 3
    return Local(model, Sampling(**settings), budget)


def flat(sampled: Sequence[Sequence[Answer]]) -> list[Answer]:
    return [one for of in sampled for one in of]


def test_its_log_probabilities_are_those_of_the_model() -> None:
    """At the temperature of sampling, the end token too, padding or not."""
    sampler = local()
    scorer = LogProbs(sampler._model, "unpacked")
    for prompt, answers in zip(PROMPTS, sampler.sample(PROMPTS, 5), strict=True):
        packed = pack([Group("g", prompt, tuple(one.tokens for one in answers))])
        with torch.no_grad():
            hidden, predictors, _ = scorer.hidden(packed)
            weight = sampler._model.lm_head.weight
            found = head_logprobs(hidden[predictors], weight, packed.targets, scale=1 / 0.8)
        said = torch.tensor([one for answer in answers for one in answer.logprobs])
        torch.testing.assert_close(said, found, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", CAUSAL_KINDS)
def test_a_prompt_is_encoded_once_for_all_of_its_answers(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same answers as when each row has its own, of prompts of unequal lengths."""
    shared, alone = local(kind=kind, samples=4), local(kind=kind, samples=4)
    rows: list[tuple[int, ...]] = []
    shared._model.get_input_embeddings().register_forward_pre_hook(
        lambda _, given: rows.append(tuple(given[0].shape))
    )
    monkeypatch.setattr(alone, "_encoded", lambda *_: None)
    found, expected = shared.sample(PROMPTS, 5), alone.sample(PROMPTS, 5)
    for one, other in zip(flat(found), flat(expected), strict=True):
        assert (one.tokens, one.finished) == (other.tokens, other.finished)
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)
    assert rows[:2] == [(3, max(map(len, PROMPTS)) - 1), (12, 1)]


def test_an_answer_ends_with_its_end_or_is_cut() -> None:
    answers = [one for of in local(samples=20).sample(PROMPTS, 1) for one in of]
    assert {one.finished for one in answers} == {True, False}
    for one in answers:
        assert one.finished == (one.tokens[-1] == END)
        assert END not in one.tokens[:-1]
        assert len(one.tokens) == len(one.logprobs)
        assert one.finished or len(one.tokens) == 12


def test_padding_with_the_end_token_changes_nothing() -> None:
    """SmolLM2 pads with the token that ends a turn."""
    assert local(pad=END).sample(PROMPTS, 3) == local(pad=0).sample(PROMPTS, 3)


def test_a_seed_gives_the_same_answers_and_leaves_the_random_state() -> None:
    sampler, before = local(), torch.get_rng_state()
    assert sampler.sample(PROMPTS, 3) == sampler.sample(PROMPTS, 3)
    assert sampler.sample(PROMPTS, 3) != sampler.sample(PROMPTS, 4)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_samples_from_the_distribution_at_its_temperature() -> None:
    """1,200 first tokens: their shares are the probabilities, within four deviations."""
    sampler = local(samples=1200, max_new_tokens=1)
    firsts = torch.tensor([one.tokens[0] for one in sampler.sample(PROMPTS[:1], 0)[0]])
    with torch.no_grad():
        logits = sampler._model(torch.tensor([PROMPTS[0]])).logits[0, -1]
    chances = (logits / 0.8).softmax(-1)
    shares = firsts.bincount(minlength=len(chances)) / 1200
    assert ((shares - chances).abs() < 4 * (chances / 1200).sqrt() + 2e-3).all()


def test_a_budget_makes_smaller_batches_and_the_same_answers() -> None:
    sampler = local(budget=40)
    rows = [len(prompt) for prompt in PROMPTS for _ in range(2)]
    made = sampler._batches(sorted(range(6), key=lambda n: rows[n]), [(1,) * n for n in rows])
    assert [len(batch) for batch in made] == [2, 2, 1, 1]
    found, expected = sampler.sample(PROMPTS, 0), local().sample(PROMPTS, 0)
    assert [[one.tokens for one in of] for of in found] == [
        [one.tokens for one in of] for of in expected
    ]


# --- a server --------------------------------------------------------------------------------


class Fake:
    """vLLM as far as it goes: adapters by name, answers that tell which one gave them."""

    def __init__(self) -> None:
        self.loaded: dict[str, str] = {}
        self.log: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.failures: list[int] = []
        self.hold = threading.Event()
        self.hold.set()
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

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/v1/load_lora_adapter":
            self.loaded[body["lora_name"]] = Path(body["lora_path"], "weights").read_text()
            self.log.append(f"load {self.loaded[body['lora_name']]}")
            return 200, "ok"
        if path == "/v1/unload_lora_adapter":
            self.log.append(f"unload {self.loaded.pop(body['lora_name'])}")
            return 200, "ok"
        if self.failures:
            return self.failures.pop(), {"error": "busy"}
        self.asked.append(body)
        self.hold.wait(10)
        if body["model"] not in self.loaded:
            return 404, {"error": "no such model"}
        version = int(self.loaded[body["model"]])
        choices = [
            {
                "index": n,
                "token_ids": [version, len(body["prompt"]), END],
                "logprobs": {"token_logprobs": [-1.0, -2.0, -0.5]},
            }
            for n in reversed(range(body["n"]))
        ]
        return 200, {"choices": choices}


@pytest.fixture
def fake() -> Iterator[Fake]:
    made = Fake()
    yield made
    made.hold.set()
    made.server.shutdown()


class Actor:
    """Its weights are its version."""

    version = 0

    def write(self, folder: Path) -> str:
        folder.mkdir(parents=True)
        (folder / "weights").write_text(str(self.version))
        return f"{self.version:064d}"[::-1]


def client(fake: Fake, folder: Path, actor: Actor) -> Served:
    return Served(fake.url, folder / "served", SAMPLING, actor.write)


def first(sampled: Sequence[tuple[Answer, ...]]) -> Answer:
    return sampled[0][0]


def test_answers_come_with_tokens_and_log_probabilities(fake: Fake, tmp_path: Path) -> None:
    sampler = client(fake, tmp_path, Actor())
    sampler.publish()
    found = sampler.sample(PROMPTS, 0)
    assert [len(of) for of in found] == [3, 3, 3]
    assert [of[0].tokens for of in found] == [(0, 9, END), (0, 4, END), (0, 6, END)]
    assert first(found) == Answer((0, 9, END), True, (-1.0, -2.0, -0.5))
    body = fake.asked[0]
    assert "seed" not in body, "it ends vLLM's engine on a CPU"
    assert (body["temperature"], body["n"], body["stop_token_ids"]) == (0.8, 3, [END])
    assert (body["top_p"], body["top_k"], body["repetition_penalty"]) == (1.0, 0, 1.0)


def test_a_new_version_is_loaded_before_the_old_one_goes(fake: Fake, tmp_path: Path) -> None:
    actor = Actor()
    sampler = client(fake, tmp_path, actor)
    for version in range(4):
        actor.version = version
        sampler.publish()
        assert first(sampler.sample(PROMPTS, 0)).tokens[0] == version
    assert fake.log == ["load 0", "load 1", "unload 0", "load 2", "unload 1", "load 3", "unload 2"]
    # vLLM may still read the files of what was unloaded last.
    left = sorted((one / "weights").read_text() for one in (tmp_path / "served").iterdir())
    assert left == ["2", "3"]
    sampler.close()
    assert fake.loaded == {}
    assert not (tmp_path / "served").exists()


def test_an_actor_that_did_not_move_is_not_loaded_again(fake: Fake, tmp_path: Path) -> None:
    sampler = client(fake, tmp_path, Actor())
    sampler.publish()
    sampler.publish()
    assert fake.log == ["load 0"]


def test_what_a_killed_run_left_on_the_server_is_unloaded(fake: Fake, tmp_path: Path) -> None:
    fake.loaded["candidate"] = "of somebody else"
    client(fake, tmp_path, Actor()).publish()
    sampler = client(fake, tmp_path, Actor())
    assert list(fake.loaded) == ["candidate"]
    sampler.publish()
    assert fake.log == ["load 0", "unload 0", "load 0"]


def test_a_passing_failure_is_tried_again(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "PAUSE_S", 0.0)
    sampler = client(fake, tmp_path, Actor())
    sampler.publish()
    fake.failures = [503, 500]
    assert len(sampler.sample(PROMPTS[:1], 0)) == 1
    fake.failures = [503] * 3
    with pytest.raises(Passing, match="does not answer"):
        sampler.sample(PROMPTS[:1], 0)
    fake.failures = [400]
    with pytest.raises(SpecError, match="refuses"):
        sampler.sample(PROMPTS, 0)


def test_without_a_server_it_is_said_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no vLLM answers") as refused:
        Served("http://127.0.0.1:9", tmp_path / "served", SAMPLING, Actor().write)
    assert "--enable-lora" in refused.value.advice


# --- one step ahead --------------------------------------------------------------------------


def asked(step: int) -> Asked:
    return Asked(step, PROMPTS[:1], step)


def test_with_a_server_the_next_step_is_sampled_one_version_behind(
    fake: Fake, tmp_path: Path
) -> None:
    actor = Actor()
    with Ahead(client(fake, tmp_path, actor), Stop()) as ahead:
        ages, versions = [], []
        for step in range(4):
            actor.version = step
            taken = ahead.take(asked(step))
            ages.append(taken.age)
            versions.append(first(taken.answers).tokens[0])
            ahead.begin(asked(step + 1), step)
    assert ages == [0, 1, 1, 1]
    assert versions == [0, 0, 1, 2]


def test_the_old_version_stays_until_its_answers_are_there(fake: Fake, tmp_path: Path) -> None:
    actor = Actor()
    sampler = client(fake, tmp_path, actor)
    with Ahead(sampler, Stop()) as ahead:
        fake.hold.clear()
        ahead.begin(asked(0), 0)
        while not fake.asked:
            pass
        actor.version = 1
        publishing = threading.Thread(target=sampler.publish)
        publishing.start()
        publishing.join(0.3)
        assert publishing.is_alive()
        assert fake.log == ["load 0", "load 1"]
        fake.hold.set()
        publishing.join(10)
        assert first(ahead.take(asked(0)).answers).tokens[0] == 0
        assert fake.log == ["load 0", "load 1", "unload 0"]


def test_a_run_that_is_stopped_does_not_wait_for_its_answers(fake: Fake, tmp_path: Path) -> None:
    stop = Stop()
    stop.requested = True
    fake.hold.clear()
    with Ahead(client(fake, tmp_path, Actor()), stop) as ahead:
        with pytest.raises(Stopped, match="before step 3"):
            ahead.take(asked(2))
        fake.hold.set()
    assert fake.loaded == {}


def test_transformers_samples_when_it_is_asked_and_not_before() -> None:
    class Counting:
        overlaps = False
        sampled = 0

        def publish(self) -> None:
            pass

        def close(self) -> None:
            pass

        def sample(self, prompts: Sequence[Tokens], seed: int) -> list[tuple[Answer, ...]]:
            self.sampled += 1
            return []

    counting = Counting()
    with Ahead(counting, Stop()) as ahead:
        ahead.begin(asked(0), 0)
        assert counting.sampled == 0
        assert ahead.take(asked(0)).age == 0
        assert counting.sampled == 1
