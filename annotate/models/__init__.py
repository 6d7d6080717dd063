"""The nouns of preference collection, one a file."""

from annotate.models.audit_event import AuditEvent
from annotate.models.claim import SPENT_STATES, Claim, ClaimState, FlagKind
from annotate.models.comparison import Comparison
from annotate.models.completion import Completion
from annotate.models.demonstration import Demonstration
from annotate.models.draft import Draft, KeptDraft
from annotate.models.invitation import MAX_INVITATIONS, Invitation
from annotate.models.judging import JudgingSettings
from annotate.models.owned_adapter import OwnedAdapter
from annotate.models.project import (
    Membership,
    Project,
    Rationale,
    Role,
)
from annotate.models.prompt import Prompt, Split
from annotate.models.ranking import Ranking
from annotate.models.round import OPEN_STATES, Round, RoundSource, RoundState, Stale
from annotate.models.task import Slot, Task, TaskState
from annotate.models.user import User

__all__ = [
    "MAX_INVITATIONS",
    "OPEN_STATES",
    "SPENT_STATES",
    "AuditEvent",
    "Claim",
    "ClaimState",
    "Comparison",
    "Completion",
    "Demonstration",
    "Draft",
    "FlagKind",
    "Invitation",
    "JudgingSettings",
    "KeptDraft",
    "Membership",
    "OwnedAdapter",
    "Project",
    "Prompt",
    "Ranking",
    "Rationale",
    "Role",
    "Round",
    "RoundSource",
    "RoundState",
    "Slot",
    "Split",
    "Stale",
    "Task",
    "TaskState",
    "User",
]
