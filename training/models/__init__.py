"""The nouns of training, one a file."""

from training.models.snapshot import Snapshot, SnapshotRanking, SnapshotState

__all__ = ["Snapshot", "SnapshotRanking", "SnapshotState"]
