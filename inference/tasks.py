"""Celery shells around the checks of replicas."""

from celery import shared_task

from inference import examination, reconcile, replicas


@shared_task(name="inference.check_replicas")
def check_replicas() -> None:
    # The next check asks again, so a request that waited too long is worth nothing.
    for replica_id in replicas.check_replicas():
        selftest_replica.apply_async(kwargs={"replica_id": replica_id}, expires=10)
    for replica_id in reconcile.replicas_to_mend():
        mend_replica.apply_async(kwargs={"replica_id": replica_id}, expires=10)
    reconcile.tidy()


@shared_task(name="inference.selftest_replica")
def selftest_replica(replica_id: int) -> None:
    examination.selftest_replica(replica_id)


@shared_task(name="inference.mend_replica")
def mend_replica(replica_id: int) -> None:
    reconcile.mend_replica(replica_id)
