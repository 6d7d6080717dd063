"""What a worker does when its broker dies under it (tests/faults kills it for real)."""

from typing import Any

import kombu
import pytest
from kombu.transport.redis import Channel

from annotate.celery_app import app
from annotate.launch.child import Child
from tests.services import ENV


def test_a_channel_of_a_closed_connection_has_lost_it(valkey: Child) -> None:
    assert app.main == "prefloop"
    with kombu.Connection(ENV.broker_url) as connection:
        opened = connection.channel()
        assert isinstance(opened, Channel)
        channel: Any = opened
        assert channel._connparams()
        survived = connection.connection_errors
        connection._do_close_transport()
        with pytest.raises(survived):
            channel._connparams()
