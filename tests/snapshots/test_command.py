"""A snapshot from the command line."""

import io

import pytest
from django.core.management import CommandError, call_command

from annotate.models import Prompt, Round, User
from tests.snapshots.conftest import Rank
from training.models import Snapshot


def made(*words: str) -> str:
    out = io.StringIO()
    call_command("make_snapshot", *words, stdout=out)
    return out.getvalue()


def test_it_says_number_and_hash(round_one: Round, lena: User, rank: Rank) -> None:
    rank(lena)
    said = made("tone", "--as", "ada", "--round", "1", "--aggregation", "majority")
    snapshot = Snapshot.objects.get()
    assert said == f"1 {snapshot.content_hash}\n"
    assert (snapshot.spec["rounds"], snapshot.spec["aggregation"]) == ([1], "majority")


def test_it_refuses_who_is_no_admin(round_one: Round, lena: User, rank: Rank) -> None:
    rank(lena)
    for words in (["tone", "--as", "lena"], ["tone", "--as", "nobody"], ["mars", "--as", "ada"]):
        with pytest.raises(CommandError):
            made(*words)
    assert not Snapshot.objects.exists()


def test_it_says_why_it_failed(round_one: Round, lena: User, rank: Rank) -> None:
    with pytest.raises(CommandError, match="No ranking is chosen"):
        made("tone", "--as", "ada")
    rank(lena)
    Prompt.objects.update(split="held_out")
    with pytest.raises(CommandError, match="Nothing is left to train on"):
        made("tone", "--as", "ada")
