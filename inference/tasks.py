"""Celery shells around the checks of replicas."""

from celery import shared_task

from inference import replicas


@shared_task(name="inference.check_replicas")
def check_replicas() -> None:
    for replica_id in replicas.check_replicas():
        # The next check asks again, so a request that waited too long is worth nothing.
        selftest_replica.apply_async(kwargs={"replica_id": replica_id}, expires=10)


@shared_task(name="inference.selftest_replica")
def selftest_replica(replica_id: int) -> None:
    replicas.selftest_replica(replica_id)
