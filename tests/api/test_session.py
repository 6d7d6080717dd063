"""Signing in and out, the CSRF token, and tokens for scripts."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from annotate.models import AuditEvent, User
from tests import cast

SESSION = "/api/session"
RIGHT = {"username": "lena", "password": cast.PASSWORD}


@pytest.fixture
def browser() -> APIClient:
    """As strict about the CSRF token as it is with a real browser."""
    return APIClient(enforce_csrf_checks=True)


def sign_in(browser: APIClient, **changes: str) -> int:
    token = browser.get(SESSION).json()["csrf_token"]
    headers = {"X-CSRFToken": token}
    response = browser.post(SESSION, {**RIGHT, **changes}, format="json", headers=headers)
    return int(response.status_code)


def test_before_and_after_signing_in(lena_user: User, browser: APIClient) -> None:
    before = browser.get(SESSION).json()
    assert before["user"] is None
    assert sign_in(browser) == 200
    after = browser.get(SESSION).json()
    assert after["user"] == {
        "id": lena_user.pk,
        "username": "lena",
        "name": "Lena",
        "is_staff": False,
        "may_create_projects": False,
    }
    assert browser.get("/api/queues").status_code == 200


@pytest.mark.parametrize(
    "changes", [{"password": "wrong"}, {"username": "nobody"}, {"username": "LENA"}]
)
def test_wrong_credentials_look_alike(
    lena_user: User, browser: APIClient, changes: dict[str, str]
) -> None:
    response = browser.post(SESSION, {**RIGHT, **changes}, format="json")
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "wrong_credentials"
    assert "do not match" in error["message"]
    assert browser.get("/api/queues").status_code == 401


def test_who_left_cannot_sign_in(lena_user: User, browser: APIClient) -> None:
    User.objects.update(is_active=False)
    response = browser.post(SESSION, RIGHT, format="json")
    assert response.json()["error"]["code"] == "wrong_credentials"


def test_a_planted_session_is_not_taken_over(
    lena_user: User, mallory: APIClient, browser: APIClient
) -> None:
    planted = mallory.cookies["sessionid"].value
    browser.cookies["sessionid"] = planted
    assert sign_in(browser) == 200
    assert browser.cookies["sessionid"].value != planted
    assert mallory.get("/api/queues").status_code == 401


def test_guessing_a_password_is_slowed_down(
    lena_user: User, browser: APIClient, settings: Settings
) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a fast one
    statuses = [
        browser.post(SESSION, {**RIGHT, "password": str(n)}, format="json").status_code
        for n in range(11)
    ]
    assert statuses == [400] * 10 + [429]
    response = browser.post(SESSION, RIGHT, format="json")
    assert response.status_code == 429
    assert 1 <= int(response["Retry-After"]) <= 60
    assert response.json()["error"]["retry"] is True
    other = {"username": "luis", "password": "x"}
    assert browser.post(SESSION, other, format="json").status_code == 400
    assert browser.get(SESSION).status_code == 200


def test_blanks_make_no_other_name(lena_user: User, browser: APIClient, settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a fast one
    for n in range(10):
        guess = {"username": "lena" + " " * n, "password": "wrong"}
        assert browser.post(SESSION, guess, format="json").status_code == 400
    for name in ("lena", " lena", "lena  ", "LENA", "\uff4cena"):
        right = {"username": name, "password": cast.PASSWORD}
        assert browser.post(SESSION, right, format="json").status_code == 429


def test_the_admin_s_sign_in_has_the_same_limit(lena_user: User, settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    form = Client()
    statuses = [
        form.post("/admin/login/", {"username": "lena ", "password": str(n)}).status_code
        for n in range(60)
    ]
    assert statuses == [200] * 10 + [429] * 50
    refused = form.post("/admin/login/", {"username": "lena", "password": cast.PASSWORD})
    assert 1 <= int(refused["Retry-After"]) <= 61
    assert "Wait a minute" in refused.content.decode()
    assert APIClient().post(SESSION, RIGHT, format="json").status_code == 429
    assert form.get("/admin/login/").status_code == 200


def test_signing_out_ends_the_session(lena_user: User, browser: APIClient) -> None:
    sign_in(browser)
    stolen = APIClient()
    stolen.cookies["sessionid"] = browser.cookies["sessionid"].value
    token = browser.get(SESSION).json()["csrf_token"]
    assert browser.delete(SESSION, headers={"X-CSRFToken": token}).status_code == 204
    assert browser.get("/api/queues").status_code == 401
    assert stolen.get("/api/queues").status_code == 401


def test_another_site_cannot_act_in_my_name(lena_user: User, browser: APIClient) -> None:
    cast.may_create_projects(lena_user)
    sign_in(browser)
    refused = browser.post("/api/projects", {"name": "Mine"}, format="json")
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "csrf_failed"
    token = browser.get(SESSION).json()["csrf_token"]
    headers = {"X-CSRFToken": token}
    done = browser.post("/api/projects", {"name": "Mine"}, format="json", headers=headers)
    assert done.status_code == 201


def test_a_page_from_another_address_is_told_which(
    lena_user: User, browser: APIClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the origin that came and the setting that would let it."""
    sign_in(browser)
    headers = {
        "X-CSRFToken": browser.get(SESSION).json()["csrf_token"],
        "Origin": "https://label.example.org",
    }
    refused = browser.post("/api/projects", {"name": "Mine"}, format="json", headers=headers)
    assert refused.status_code == 403
    error = refused.json()["error"]
    assert (error["code"], error["retry"]) == ("csrf_failed", True)
    for told in (error["message"], caplog.text):
        assert "https://label.example.org" in told
        assert "TRUSTED_ORIGINS" in told
    assert "called as http://testserver" in caplog.text


def test_another_site_cannot_sign_me_out_or_in(lena_user: User, browser: APIClient) -> None:
    sign_in(browser)
    assert browser.delete(SESSION).status_code == 403
    assert browser.post(SESSION, RIGHT, format="json").status_code == 403


def test_a_session_outlives_the_cache(lena: APIClient) -> None:
    cache.clear()
    assert lena.get("/api/queues").status_code == 200


# --- tokens ---------------------------------------------------------------------------------


def bearer(token: str) -> APIClient:
    return APIClient(enforce_csrf_checks=True, headers={"Authorization": f"Token {token}"})


def test_the_life_of_a_token(lena: APIClient, lena_user: User) -> None:
    cast.may_create_projects(lena_user)
    made = lena.post("/api/tokens")
    assert made.status_code == 201
    token = made.json()["token"]
    script = bearer(token)
    assert script.get("/api/queues").status_code == 200
    assert script.get(SESSION).json()["user"]["username"] == "lena"
    assert script.post("/api/projects", {"name": "Mine"}, format="json").status_code == 201

    (row,) = lena.get("/api/tokens").json()["results"]
    assert token.startswith(row["id"])
    assert token not in str(row)
    assert lena.delete(f"/api/tokens/{row['id']}").status_code == 204
    assert script.get("/api/queues").status_code == 401
    assert lena.delete(f"/api/tokens/{row['id']}").status_code == 404
    assert list(AuditEvent.objects.filter(actor=lena_user).values_list("verb", flat=True)) == [
        "made a token",
        "created",
        "revoked a token",
    ]


def test_a_token_is_stored_as_a_digest_only(lena: APIClient) -> None:
    token = lena.post("/api/tokens").json()["token"]
    stored = AuthToken.objects.get()
    assert token not in (stored.digest, stored.token_key)


def test_an_expired_token_is_no_way_in(lena: APIClient) -> None:
    token = lena.post("/api/tokens").json()["token"]
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    response = bearer(token).get("/api/queues")
    assert response.status_code == 401
    assert response["WWW-Authenticate"]
    assert lena.get("/api/tokens").json()["results"] == []


def test_a_token_lasts_ninety_days(lena: APIClient) -> None:
    lena.post("/api/tokens")
    lasts = AuthToken.objects.get().expiry - timezone.now()
    assert timedelta(days=89) < lasts <= timedelta(days=90)


def test_who_left_has_no_token(lena: APIClient, lena_user: User) -> None:
    token = lena.post("/api/tokens").json()["token"]
    User.objects.filter(pk=lena_user.pk).update(is_active=False)
    assert bearer(token).get("/api/queues").status_code == 401


def test_tokens_are_bounded(lena: APIClient) -> None:
    for _ in range(20):
        assert lena.post("/api/tokens").status_code == 201
    refused = lena.post("/api/tokens")
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "too_many_tokens"
