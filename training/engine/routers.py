"""The routers of mixtures of experts, by name."""


def is_router(path: str) -> bool:
    """Whether a layer chooses or weighs experts (router, gate, shared_expert_gate).

    A step of an adapter there sends tokens to other experts, which is another model at once.
    """
    return any(
        part == "gate" or part.endswith("_gate") or "router" in part for part in path.split(".")
    )
