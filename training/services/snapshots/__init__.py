"""Snapshots: asked for, and built by a job."""

from training.services.snapshots.asking import (
    BUILD,
    cancel_snapshot,
    create_snapshot,
    retry_snapshot,
)

__all__ = ["BUILD", "cancel_snapshot", "create_snapshot", "retry_snapshot"]
