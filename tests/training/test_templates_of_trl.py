"""Chat templates of current models, as TRL ships them: which are trained with, and how."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.training.data.samples import answer, user
from tests.training.tiny import save_tiny, tiny_tokenizer
from training.engine.base.load import read_tokenizer
from training.engine.base.template import with_settings
from training.engine.data.chat import NO_THOUGHT, Chat
from training.engine.data.demonstrations import load_demonstrations
from training.engine.data.prompts import load_prompts
from training.engine.errors import DataError, SpecError
from training.engine.spec import Base, Data

# Written by hand: as it is, its prompt opens a thought, or why it is refused.
PLAIN, THINKS = "plain", "thinks"
CHANNEL = "no generation prompt"
PICTURES = "changes what the assistant says"
EXPECTED = {
    "cohere": PLAIN,
    "cohere2": PLAIN,
    "deepseek_r1_distill": THINKS,
    "deepseekv3": THINKS,
    "diffusion_gemma": PLAIN,
    "gemma": PLAIN,
    "gemma3": PLAIN,
    "gemma4": PLAIN,
    "gemma4_v2": PLAIN,
    "gemma4_v3": PLAIN,
    "gemma4_v4": PLAIN,
    "gemma4_v5": PLAIN,
    "glm4moe": PLAIN,
    "gptoss": CHANNEL,
    "idefics3": PICTURES,
    "lfm2": PLAIN,
    "lfm2_2_5": PLAIN,
    "lfm2_2_5_v2": PLAIN,
    "lfm2_2_5_vl": PLAIN,
    "lfm2_v2": PLAIN,
    "llama3": PLAIN,
    "llama3_1": PLAIN,
    "llama3_2": PLAIN,
    "llava_next": "cannot be used",
    "muse_glimmer": CHANNEL,
    "nemotron_3_5_lightning": THINKS,
    "nemotron_3_nano": THINKS,
    "nemotron_3_super": THINKS,
    "nemotron_3_ultra": THINKS,
    "phi3": PLAIN,
    "phi3_5": PLAIN,
    "qwen2_5": PLAIN,
    "qwen2_5_vl": PLAIN,
    "qwen3": PLAIN,
    "qwen3_5_nothink": PLAIN,
    "qwen3_5_think": THINKS,
    "qwen3_6": THINKS,
    "qwen3_8": THINKS,
    "qwen3_instruct_2507": PLAIN,
    "qwen3_vl": PLAIN,
    "smolvlm": PICTURES,
}
SILENT: dict[str, Any] = {"enable_thinking": False}
# Thoughts that can be turned off: DeepSeek's templates have no such setting.
SILENCED = (
    "glm4moe",
    "nemotron_3_5_lightning",
    "nemotron_3_nano",
    "nemotron_3_super",
    "nemotron_3_ultra",
    "qwen3",
    "qwen3_5_think",
    "qwen3_6",
    "qwen3_8",
)


def template(name: str) -> str:
    return (files("trl") / "chat_templates" / f"{name}.jinja").read_text()


def chat(name: str, settings: dict[str, Any] | None = None) -> Chat:
    of: Any = tiny_tokenizer()
    of.chat_template = with_settings(template(name), settings or {})
    return Chat(of)


def test_every_template_is_in_the_list() -> None:
    """TRL's `_training` variants mark what is learned, and are asked nothing."""
    there = (Path(str(one)) for one in (files("trl") / "chat_templates").iterdir())
    names = {one.stem for one in there if one.suffix == ".jinja"}
    assert {name for name in names if not name.endswith("_training")} == EXPECTED.keys()


@pytest.mark.parametrize(("name", "expected"), EXPECTED.items())
def test_a_template_is_taken_or_refused_in_words(name: str, expected: str) -> None:
    if expected in (PLAIN, THINKS):
        made = chat(name)
        assert made.thinks == (expected == THINKS)
        assert made.head == ""
        return
    with pytest.raises(DataError, match=expected) as refused:
        chat(name)
    assert "base.chat_template" in refused.value.advice


@pytest.mark.parametrize("name", SILENCED)
def test_thoughts_are_turned_off_by_a_setting(name: str) -> None:
    silent = chat(name, SILENT)
    asked = user("Which colour has the sky?")

    assert not silent.thinks
    # The same as a server makes of it, which is sent the setting with the request.
    of = tiny_tokenizer()
    served = of.apply_chat_template(
        asked,
        tokenize=False,
        add_generation_prompt=True,
        chat_template=template(name),
        **SILENT,
    )
    assert silent.prompt(asked) == served
    assert silent.hash != chat(name).hash


@pytest.mark.parametrize(
    "value", [True, False, None, 3, 0.5, 'it\'s "quoted"\n{{ x }}', ["a", {"b": False}]]
)
def test_a_setting_means_what_it_would_mean_in_a_request(value: Any) -> None:
    of = tiny_tokenizer()
    text = "{{ setting | tojson }}{{ other is defined }}"
    render = of.apply_chat_template
    asked = user("Q")

    told = render(asked, tokenize=False, chat_template=with_settings(text, {"setting": value}))

    assert told == render(asked, tokenize=False, chat_template=text, setting=value)


def test_macros_of_a_template_see_the_setting() -> None:
    of = tiny_tokenizer()
    text = "{% macro m() %}{{ 'on' if think else 'off' }}{% endmacro %}{{ m() }}"
    told = with_settings(text, {"think": True})
    assert of.apply_chat_template(user("Q"), tokenize=False, chat_template=told) == "on"


def folder(tmp_path: Path) -> Path:
    return save_tiny("llama", tmp_path / "model")


def test_the_spec_names_a_template_and_its_settings(tmp_path: Path) -> None:
    place = folder(tmp_path)
    (tmp_path / "t.jinja").write_text(template("qwen3_6"))
    base = Base(
        model=str(place), chat_template=str(tmp_path / "t.jinja"), chat_template_kwargs=SILENT
    )
    assert Chat(read_tokenizer(base, place)).hash == chat("qwen3_6", SILENT).hash
    assert Chat(read_tokenizer(Base(model=str(place)), place)).hash != chat("qwen3_6").hash


def test_settings_need_a_template_to_read_them(tmp_path: Path) -> None:
    place = folder(tmp_path)
    (place / "chat_template.jinja").unlink()
    with pytest.raises(SpecError, match="no chat template"):
        read_tokenizer(Base(model=str(place), chat_template_kwargs=SILENT), place)


@pytest.mark.parametrize("name", ["messages", "add_generation_prompt", "a b", "1x", "x=1}}"])
def test_what_is_no_setting_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no setting of a template"):
        Base(model="m", chat_template_kwargs={name: 1})


def demonstrations(tmp_path: Path) -> str:
    said = [
        "<think>\nhm\n</think>\n\nFour.",
        "hm\n</think>\n\nFour.",
        "Four, without a thought.",
    ]
    place = tmp_path / "demonstrations.jsonl"
    place.write_text(
        "".join(
            json.dumps({"messages": user(f"Question {number}") + answer(text)}) + "\n"
            for number, text in enumerate(said)
        )
    )
    return str(place)


def test_where_prompts_open_a_thought_answers_have_to_close_it(tmp_path: Path) -> None:
    of: Any = tiny_tokenizer()
    of.chat_template = template("qwen3_6")
    data = Data(demonstrations=(demonstrations(tmp_path),), held_out_fraction=0.0)

    found = load_demonstrations(data, of)

    assert found.report.count(NO_THOUGHT) == 1
    written = [of.decode(one.tokens) for one in found.train]
    whole = "<|im_start|>assistant\n<think>\nhm\n</think>\n\nFour.<|im_end|>"
    assert [text.endswith(whole) for text in written] == [True, True]
    # Prompts alone need no thought.
    assert len(load_prompts(data, of).train) == 3
