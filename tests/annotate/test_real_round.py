"""One round with everything real: beat, worker and generator, and vLLM with the bundled model."""

from uuid import uuid4

import pytest

from annotate.launch.child import Child
from annotate.models import Comparison, Completion, Project, Role, RoundState, Task, User
from annotate.queries import rounds as reads
from annotate.queries.prompts import PromptFilter
from annotate.services import rounds
from annotate.services.prompts import import_prompts
from annotate.services.rankings import Said, submit_ranking
from annotate.services.rounds import Source
from inference.models import ServedModel
from inference.queries import inference_state
from tests import cast
from tests.faults.breaking import state, wait

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.vllm,
]
MAX_TOKENS = 12
SHORT = ["Name a river.", "Say hello.", "Count to ninety.", "What is 2 + 2?"]


def test_from_prompts_to_comparisons(
    tone: Project, ada: User, worker: Child, generator: Child, beat: Child, vllm: Child
) -> None:
    lena = cast.member(tone, "lena", Role.LABELER)
    too_long = "word " * 6000  # over the 4,096 tokens that the model is served with
    lines = "\n".join(f'{{"prompt": "{text}"}}' for text in [*SHORT, too_long])
    import_prompts(project_id=tone.pk, actor_id=ada.pk, source=lines, format="jsonl")
    wait("the model", lambda: inference_state()["state"] == "ready")
    base = ServedModel.objects.get(kind=ServedModel.Kind.BASE).pk
    round_ = rounds.create_round(
        project_id=tone.pk,
        actor_id=ada.pk,
        prompts=PromptFilter(),
        k=4,
        overlap=1,
        sources=[
            Source(base, temperature=0.0, max_tokens=MAX_TOKENS),
            Source(base, temperature=1.5, top_p=1.0, max_tokens=MAX_TOKENS),
        ],
    )
    rounds.start_round(round_id=round_.pk, actor_id=ada.pk)
    wait("the round", lambda: state(round_) != RoundState.GENERATING)
    assert state(round_) == RoundState.LABELING, Task.objects.values_list("failure", flat=True)

    failed = Task.objects.get(state="failed")
    assert failed.prompt.excerpt.startswith("word word")
    assert "context" in failed.failure or "too long" in failed.failure
    for task in Task.objects.filter(state="ready"):
        assert_written(list(task.completions.order_by("number")))

    monitor = reads.monitor(round_)
    assert monitor["generation"]["completions"] == 16
    assert monitor["generation"]["tokens"] > 16
    assert [failure["task"] for failure in monitor["failures"]] == [failed.position]

    for _ in SHORT:
        held = cast.claim(lena, tone)
        assert held.cut_off.count(True) <= 4
        said = Said(tiers=[["B"], ["A", "C"], ["D"]])
        submit_ranking(claim_id=held.claim_id, labeler_id=lena.pk, key=uuid4(), said=said)
    assert Comparison.objects.count() == 4 * 6
    round_.refresh_from_db()
    assert reads.labeling(round_)["done"] == 4


def assert_written(completions: list[Completion]) -> None:
    """Two greedy ones that agree, two hot ones; none longer than allowed, all with their source."""
    assert [completion.number for completion in completions] == [0, 1, 2, 3]
    cold = [each for each in completions if each.sampling["temperature"] == 0.0]
    hot = [each for each in completions if each.sampling["temperature"] == 1.5]
    assert len(cold) == len(hot) == 2
    assert cold[0].text == cold[1].text
    for each in completions:
        assert each.source.temperature == each.sampling["temperature"]
        assert each.sampling["n"] == (1 if each in cold else 2)
        assert 1 <= each.token_count <= MAX_TOKENS
        assert each.finish_reason == "stop" or each.token_count == MAX_TOKENS
        assert each.logprob_sum is not None
        assert each.logprob_sum <= 0
        assert each.model_name == each.served_model.name
        assert each.prompt_tokens > 5
        assert len(each.chat_template_hash) == 64
        assert each.latency_ms > 0
        assert each.replica
