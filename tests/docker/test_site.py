"""The web image's server behind the proxy with TLS, as a browser meets them."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotate.environment import free_port
from tests.docker import site
from tests.docker.site import Proxy
from tests.patience import PATIENCE_S


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web-image")
    site.build_web_image(folder)
    return folder


@pytest.fixture(scope="module")
def behind_proxy(
    image: Path, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    smaller = {"257MiB": "1MiB"}
    with site.web(image) as port, site.proxy(port, tmp_path_factory.mktemp("c"), smaller) as proxy:
        yield proxy


@pytest.mark.django_db(transaction=True)
class TestTheSite:
    def test_the_page_and_its_scripts_come_over_tls(self, behind_proxy: Proxy) -> None:
        page = behind_proxy.client.get(f"{behind_proxy.https}/sign-in")
        assert page.status_code == 200
        (source,) = re.findall(r'src="(/static/assets/[^"]+)"', page.text)
        script = behind_proxy.client.get(
            behind_proxy.https + source, headers={"Accept-Encoding": "gzip"}
        )
        assert script.status_code == 200
        assert script.headers["Content-Encoding"] == "gzip"
        assert "javascript" in script.headers["Content-Type"]

    def test_the_headers_are_those_of_django_and_some_more(self, behind_proxy: Proxy) -> None:
        headers = behind_proxy.client.get(f"{behind_proxy.https}/sign-in").headers
        assert headers.get_list("Content-Security-Policy")[0].startswith("default-src 'self'")
        for name in ("X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy"):
            assert len(headers.get_list(name)) == 1
        assert "camera=()" in headers["Permissions-Policy"]
        assert not {"server", "via"} & headers.keys()
        # It would make a browser refuse the plain http of `make run`.
        assert "strict-transport-security" not in headers

    def test_plain_http_is_sent_to_https(self, behind_proxy: Proxy) -> None:
        reply = behind_proxy.client.get(f"{behind_proxy.http}/label/example")
        assert reply.status_code == 308
        assert reply.headers["Location"] == "https://localhost/label/example"

    def test_a_browser_may_write_and_its_cookies_are_secure(self, behind_proxy: Proxy) -> None:
        url = f"{behind_proxy.https}/api/session"
        session = behind_proxy.client.get(url)
        assert session.status_code == 200
        assert all("Secure" in cookie for cookie in session.headers.get_list("Set-Cookie"))
        sent = {"X-CSRFToken": session.json()["csrf_token"], "Origin": behind_proxy.https}
        wrong = {"username": "mallory", "password": "a wrong password"}
        refused = behind_proxy.client.post(url, json=wrong, headers={**sent, "Referer": url})
        assert refused.status_code in (400, 401), refused.text
        assert "csrf" not in refused.text.lower()

    def test_another_host_name_gets_no_page(self, behind_proxy: Proxy) -> None:
        reply = behind_proxy.client.get(f"{behind_proxy.https}/", headers={"Host": "evil.example"})
        assert "<html" not in reply.text

    def test_too_large_an_upload_is_refused_in_the_api_s_words(self, behind_proxy: Proxy) -> None:
        reply = behind_proxy.client.post(
            f"{behind_proxy.https}/api/session",
            content=b"x" * 2_000_000,
            headers={"Content-Type": "application/json"},
        )
        assert reply.status_code == 413
        assert reply.json()["error"]["code"] == "too_large"
        assert reply.json()["error"]["retry"] is False


def test_the_image_has_its_static_files(image: Path) -> None:
    assert list((image / "var" / "static" / "assets").glob("*.js"))
    assert (image / "var" / "static" / "unfold").is_dir()
    # Nothing was made up while the image was built.
    assert not (image / "var" / "secrets").exists()


def test_a_proxy_without_web_server_says_so(tmp_path: Path) -> None:
    nobody = free_port()
    with site.proxy(nobody, tmp_path, {"lb_try_duration 15s": "lb_try_duration 1s"}) as proxy:
        call = proxy.client.get(f"{proxy.https}/api/queues")
        page = proxy.client.get(f"{proxy.https}/")
    assert 502 <= call.status_code <= 504
    assert call.json()["error"]["retry"] is True
    assert call.headers["Retry-After"] == "5"
    assert "Reload the page" in page.text
    for reply in (call, page):
        assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Cache-Control"] == "no-store"
        assert "server" not in reply.headers


def test_a_request_waits_for_a_web_server_that_starts_again(tmp_path: Path) -> None:
    port = free_port()
    with site.proxy(port, tmp_path) as proxy, site.late_server(port, after=2.0):
        begin = time.monotonic()
        reply = proxy.client.get(f"{proxy.https}/api/queues")
    assert reply.status_code == 200
    assert time.monotonic() - begin > 1.0


def test_an_export_flows_while_it_is_made(tmp_path: Path) -> None:
    with site.slow_export() as export, site.proxy(export.port, tmp_path) as proxy:
        url = f"{proxy.https}/api/projects/example/export/comparisons.jsonl"
        with proxy.client.stream("GET", url) as reply:
            lines = reply.iter_lines()
            assert next(lines) == "first"
            assert "content-encoding" not in reply.headers
            export.go_on.set()
            assert next(lines) == "second"


def test_a_client_that_leaves_ends_the_export(tmp_path: Path) -> None:
    with site.slow_export() as export, site.proxy(export.port, tmp_path) as proxy:
        url = f"{proxy.https}/api/projects/example/export/comparisons.jsonl"
        with proxy.client.stream("GET", url) as reply:
            assert next(reply.iter_lines()) == "first"
        assert export.left.wait(PATIENCE_S)
