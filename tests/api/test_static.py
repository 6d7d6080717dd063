"""Files are answered under the same policy as pages: nobody frames them, and nothing runs."""

import httpx
import pytest
from django.conf import settings

from annotate.security_policy import SITE_POLICY
from tests.patience import PATIENCE_S
from tests.services import Site


@pytest.fixture
def page(site: Site) -> str:
    """The frontend's page as a file, where it is built; else one of the same name."""
    place = settings.STATIC_ROOT / "index.html"
    return "index.html" if place.is_file() else "unfold/css/styles.css"


@pytest.mark.django_db(transaction=True)
def test_a_file_has_the_policy_and_cannot_be_framed(site: Site, page: str) -> None:
    reply = httpx.get(f"{site.url}/static/{page}", trust_env=False, timeout=PATIENCE_S)
    assert reply.status_code == 200
    assert reply.headers.get_list("Content-Security-Policy") == [SITE_POLICY]
    assert reply.headers.get_list("X-Frame-Options") == ["DENY"]
    assert reply.headers.get_list("X-Content-Type-Options") == ["nosniff"]
    assert "Access-Control-Allow-Origin" not in reply.headers
