"""What a request took that ended otherwise than by its answer."""

from __future__ import annotations

import pytest

from penstock.admission.settings import TenantSettings
from penstock.core.errors import DeadlineExceeded, ProviderFailed
from penstock.core.generation import Usage
from penstock.core.principal import Principal
from penstock.core.reply import Meta
from penstock.core.request import Request
from penstock.core.tensors import Tensor, object_array
from penstock.core.text import TEXT
from tests.admission.accounting import Desk, per_token, question, rows

LIMITED = TenantSettings(tokens_per_minute=1_000_000, budget_per_day=100)


def texts(*given: str) -> Request:
    tensor = Tensor("BYTES", object_array([text.encode() for text in given], (len(given),)))
    return Request("r3", "embedder", {TEXT: tensor}, principal=Principal("acme", "k1"))


@pytest.mark.parametrize("limits", [TenantSettings(), LIMITED])
def test_embeddings_that_are_cut_short_cost_what_was_sent(limits: TenantSettings) -> None:
    desk = Desk(acme=limits)
    desk.ask(texts("x" * 20_000, "y" * 20_000)).close()
    (entry,) = desk.book.entries
    assert entry.prompt_tokens == pytest.approx(12_000, rel=0.1)
    assert entry.cost == pytest.approx(12, rel=0.1)


@pytest.mark.parametrize("limits", [TenantSettings(), LIMITED])
def test_what_was_counted_so_far_goes_before_estimates(limits: TenantSettings) -> None:
    desk = Desk(acme=limits)
    reply = desk.ask(texts("x" * 20_000))
    reply.meta.usage = Usage(11)
    reply.close()
    assert desk.book.entries[0].prompt_tokens == 11


def test_a_prompt_that_was_read_counts_for_tenants_without_limits_too() -> None:
    desk = Desk()
    desk.ask(question("x" * 100_000)).close()
    desk.ask(question("x" * 100_000)).settle(DeadlineExceeded("too late"))
    assert [entry.prompt_tokens for entry in desk.book.entries] == [pytest.approx(30_000, rel=0.1)] * 2
    assert all(entry.cost for entry in desk.book.entries)


def test_numbers_have_no_tokens() -> None:
    desk = Desk()
    desk.ask(rows(100)).close()
    assert (desk.book.entries[0].prompt_tokens, desk.book.entries[0].cost) == (0, 0.0)


def per_request(meta: Meta, request: Request) -> float:
    return 1.0 + (per_token(meta, request) or 0.0)


def test_an_error_that_gave_no_answer_costs_nothing_and_a_part_of_one_does() -> None:
    desk = Desk(price=per_request)
    desk.ask().settle(ProviderFailed("gone"))
    part = desk.ask()
    part.meta.usage = Usage(100, 0, 50)
    part.settle(ProviderFailed("gone in the middle"))
    desk.ask(rows(1)).settle({})
    assert [entry.cost for entry in desk.book.entries] == [0.0, 1.15, 1.0]
