"""Scoring from its folder to scores.jsonl."""

from pathlib import Path

from training.engine.errors import SpecError
from training.engine.process.display import display_for
from training.engine.process.folder import RunFolder
from training.engine.process.heartbeat import Heartbeat
from training.engine.process.paths import with_absolute_model
from training.engine.process.stop import StopRequest
from training.engine.scoring.spec import Scoring, read_scoring

SPEC, ANSWERS, SCORES = "scoring.json", "answers.jsonl", "scores.jsonl"


def score_folder(folder: RunFolder, stop: StopRequest, warnings: list[str]) -> bool:
    """Score every answer that has no reward yet; False when all had one before.

    Raises SpecError and DataError in words, Stopped.
    """
    spec = _located(read_scoring(folder.root / SPEC), folder)
    # Imported here: a wrong file is refused without the seconds of importing torch.
    from training.engine.scoring.answers import read_answers
    from training.engine.scoring.asked import groups_of
    from training.engine.scoring.judge import load_its_base, load_judge, read_reward_adapter
    from training.engine.scoring.scores import add_scores, read_scores
    from training.engine.stopping import end_if_asked

    given = read_answers(folder.root / ANSWERS)
    stored = read_reward_adapter(Path(spec.adapter))
    _begin(folder, stored.content_hash)
    scores = read_scores(folder.root / SCORES)
    if all(one.id in scores for one in given):
        return (folder.read_json(folder.result) or {}).get("state") != "finished"
    display = display_for(visible=folder.writes)
    with Heartbeat(folder) as heartbeat:
        heartbeat.phase("loading the reward model", None)
        base = load_its_base(spec, stored)
        trained = stored.card["spec"]["data"]
        asked = groups_of(
            given,
            base.tokenizer,
            max_prompt_tokens=trained["max_prompt_tokens"],
            system_role=trained.get("system_role", "refuse"),
        )
        judge = load_judge(spec, stored, base, asked)
        heartbeat.phase("scoring", len(given))
        display.phase("scoring", len(given))
        for batch in judge.batches(asked):
            end_if_asked(stop, "between two answers")
            ids = {number for one in batch for among in one.ids for number in among}
            if not ids <= scores.keys():
                found = judge.rewards(batch)
                add_scores(folder.root / SCORES, {n: found[n] for n in ids - scores.keys()})
                scores |= found
            heartbeat.step(len(scores))
            display.progress(len(scores))
    display.close()
    return True


def _located(spec: Scoring, folder: RunFolder) -> Scoring:
    place = folder.resolve(spec.adapter)
    if not place.is_dir():
        raise SpecError(
            f"adapter: there is no folder {place}.",
            advice="Name the folder of a reward adapter; a relative path begins at the folder.",
        )
    base = with_absolute_model(spec.base, folder)
    return spec.model_copy(update={"adapter": str(place), "base": base})


def _begin(folder: RunFolder, adapter: str) -> None:
    """Rewards of another reward model are not comparable: they go."""
    if (folder.read_json(folder.manifest) or {}).get("adapter") != adapter:
        (folder.root / SCORES).unlink(missing_ok=True)
        folder.update_manifest({"adapter": adapter})
