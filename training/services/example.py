"""The example project's loop: ready to be stepped by hand, sized for the bundled model on a CPU."""

from django.db import transaction

from annotate.models import Membership, Project, Role
from annotate.services.example import SLUG
from training.loop.policy import LoopSettings, read
from training.models import LoopPolicy
from training.services.loop.policy import set_policy

# A turn takes minutes: few steps, short answers, all held-out prompts. A few dozen rankings teach
# something within a few passes, at rates that a large dataset would not bear. How long prompts and
# answers may be is left to the rounds that wrote them.
_RUN = {
    "optimizer": {"lr": 2e-4},
    "training": {"epochs": 2},
    "evaluation": {"answers": 4, "max_new_tokens": 32},
}
_JUDGE = {
    "optimizer": {"lr": 3e-4},
    "training": {"epochs": 2},
    "evaluation": {"answers": 0},
}
SETTINGS: LoopSettings = read(
    {
        "trigger": {"comparisons": 60, "hours": None},
        "run": {"method": "dpo", "preset": "135m-cpu", "values": _RUN},
        "judge": {"train": True, "preset": "135m-cpu", "values": _JUDGE},
        "evaluation": {"prompts": 8, "max_tokens": 64},
        # Of eight prompts a win rate tells little: it is shown, and a person decides.
        "gate": {"min_win_rate": None, "max_length_ratio": 3.0},
        "promotion": "ask",
        "next_round": {"prompts": "fresh", "sample": 10, "k": 4, "max_tokens": 96},
    }
)


@transaction.atomic
def load_example_loop() -> LoopPolicy | None:
    """A policy that is off, for the owner of the example; one that exists is left as it is.

    None where there is no example project, or nobody owns it any more.
    """
    project = Project.objects.select_for_update().filter(slug=SLUG).first()
    if project is None:
        return None
    policy = LoopPolicy.objects.filter(project=project).first()
    owner = Membership.objects.filter(project=project, role=Role.OWNER).order_by("pk").first()
    if policy is not None or owner is None:
        return policy
    return set_policy(
        project_id=project.pk, actor_id=owner.user_id, settings=SETTINGS, active=False
    )
