"""How the local vLLM is started."""

from typing import Any

import pytest

from inference.local import LocalServer


def server(**more: Any) -> LocalServer:
    return LocalServer(
        model="org/model",
        served_name="model",
        port=8000,
        api_key="k",
        max_model_len=2048,
        cache_gb=1,
        **more,
    )


def test_without_adapters_lora_is_off() -> None:
    assert "--enable-lora" not in server().command()
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in server().environment()


@pytest.mark.parametrize(("rank", "taken"), [(1, "1"), (9, "16"), (16, "16"), (300, "320")])
def test_with_adapters_there_is_a_place_for_the_zero_adapter_and_one_stays_empty(
    rank: int, taken: str
) -> None:
    command = server(adapters=2, adapter_rank=rank).command()
    start = command.index("--enable-lora")
    assert command[start + 1 : start + 5] == ["--max-loras", "4", "--max-lora-rank", taken]
    variables = server(adapters=2).environment()
    assert variables["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"


def test_a_chat_template_of_its_own_is_handed_on() -> None:
    command = server(chat_template="/t.jinja").command()
    assert command[command.index("--chat-template") + 1] == "/t.jinja"
    assert "--chat-template" not in server().command()
