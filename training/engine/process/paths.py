"""The paths of a spec, made absolute and looked at before anything heavy is loaded."""

from pathlib import Path
from typing import Any

from training.engine.errors import DataError, SpecError
from training.engine.process.folder import RunFolder
from training.engine.spec import DATA_FILES, PPO, Base, Data, Online, RunSpec


def data_files(data: Data) -> list[str]:
    """Every file the spec names, in its order."""
    named = [path for field in DATA_FILES for path in getattr(data, field)]
    return named + ([data.general_text] if data.general_text else [])


def with_absolute_paths(spec: RunSpec, folder: RunFolder) -> RunSpec:
    """The same spec without paths relative to the run folder.

    Raises DataError for a data file that is not there, SpecError for a model or an adapter.
    """
    values: dict[str, Any] = {"base": with_absolute_model(spec.base, folder)}
    values["data"] = _data(spec.data, folder)
    if spec.parent:
        place = _adapter(spec.parent.adapter, "parent.adapter", folder)
        values["parent"] = spec.parent.model_copy(update={"adapter": place})
    if spec.dpo and spec.dpo.reference_cache:
        cache = str(folder.resolve(spec.dpo.reference_cache))
        values["dpo"] = spec.dpo.model_copy(update={"reference_cache": cache})
    if spec.online:
        values["online"] = _online(spec.online, folder)
    if spec.ppo:
        values["ppo"] = _ppo(spec.ppo, folder)
    return spec.model_copy(update=values)


def _data(data: Data, folder: RunFolder) -> Data:
    missing = [path for path in data_files(data) if not folder.resolve(path).is_file()]
    if missing:
        raise DataError(
            f"There is no data file {', '.join(missing)}.",
            advice="Correct the paths in data; relative ones begin at the run folder.",
        )
    files: dict[str, Any] = {
        field: tuple(str(folder.resolve(path)) for path in getattr(data, field))
        for field in DATA_FILES
    }
    if data.general_text:
        files["general_text"] = str(folder.resolve(data.general_text))
    return data.model_copy(update=files)


def with_absolute_model(base: Base, folder: RunFolder) -> Base:
    """The same base without a relative path; a name on the hub stays as it is."""
    values: dict[str, Any] = {"model": _model(base.model, "base.model", folder)}
    if base.chat_template is not None:
        place = folder.resolve(base.chat_template)
        if not place.is_file():
            raise SpecError(
                f"base.chat_template: there is no file {place}.",
                advice="Correct the path; a relative one begins at the run folder.",
            )
        values["chat_template"] = str(place)
    return base.model_copy(update=values)


def _model(model: str, field: str, folder: RunFolder) -> str:
    place = folder.resolve(model)
    if place.exists():
        return str(place)
    # A name on the hub is "owner/name" or "name"; everything else can only be a path.
    if model.endswith(".gguf") or Path(model).is_absolute() or model.startswith("."):
        raise SpecError(
            f"{field}: there is nothing at {place}.",
            advice="Name a model folder, a .gguf file, or a model on the hub as owner/name.",
        )
    return model


def _online(online: Online, folder: RunFolder) -> Online:
    rewards = _rewards(online.rewards, online.functions(), "online.rewards", folder)
    return online.model_copy(update={"rewards": rewards})


def _ppo(ppo: PPO, folder: RunFolder) -> PPO:
    values: dict[str, Any] = {
        "rewards": _rewards(ppo.rewards, ppo.functions(), "ppo.rewards", folder)
    }
    if ppo.reward_base:
        values["reward_base"] = _model(ppo.reward_base, "ppo.reward_base", folder)
    return ppo.model_copy(update=values)


def _rewards(
    rewards: tuple[str, ...], functions: tuple[str, ...], field: str, folder: RunFolder
) -> tuple[str, ...]:
    return tuple(
        reward if reward in functions else _adapter(reward, f"{field}[{number}]", folder)
        for number, reward in enumerate(rewards)
    )


def _adapter(path: str, field: str, folder: RunFolder) -> str:
    place = folder.resolve(path)
    if not (place / "adapter_config.json").is_file():
        raise SpecError(
            f"{field}: there is no adapter in {place}.",
            advice="Name the folder that holds adapter_config.json.",
        )
    return str(place)
