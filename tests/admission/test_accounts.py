"""Every request is settled and written down exactly once, whatever becomes of it."""

from __future__ import annotations

import time

import msgspec
import numpy as np
import pytest

from penstock.admission.keys.key import INTERNAL, INTERNAL_ID
from penstock.admission.settings import LimitSettings, TenantSettings
from penstock.core.errors import Cancelled, ModelFailed, Overloaded, QuotaExceeded, TooLarge
from penstock.core.generation import Generated, Usage
from penstock.core.principal import Principal
from penstock.core.reply import Meta, Reply
from penstock.core.request import Request
from penstock.core.tensors import Tensor
from tests.admission.accounting import NOON, Desk, question, rows

FEW = TenantSettings(requests_per_minute=60, burst_s=2)


def left(reply: Reply | QuotaExceeded, name: str) -> float:
    quotas = reply.meta.quotas if isinstance(reply, Reply) else reply.quotas
    return next(quota.remaining for quota in quotas if quota.name == name)


def test_an_answered_request_is_written_down_with_its_tokens_and_cost() -> None:
    desk = Desk()
    reply = desk.ask()
    desk.pass_time(2.0)
    reply.meta.route, reply.meta.why = "assistant", "easy"
    desk.end(reply, prompt=100, answer=20)
    (entry,) = desk.book.entries
    assert (entry.id, entry.tenant, entry.key, entry.name) == ("r1", "acme", "k1", "chat")
    assert (entry.route, entry.model, entry.version, entry.why) == ("assistant", "small", "1", "easy")
    assert (entry.status, entry.code, entry.rows) == (200, "", 1)
    assert (entry.prompt_tokens, entry.completion_tokens) == (100, 20)
    assert entry.cost == reply.meta.cost == pytest.approx(0.12)
    assert (entry.total_s, entry.at) == (pytest.approx(2.0), NOON + 2)


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [("fail", 500, "model_failed"), ("close", 499, "cancelled"), ("close twice", 499, "cancelled")],
)
def test_other_ends_are_written_down_too(how: str, status: int, code: str) -> None:
    desk = Desk(acme=FEW)
    reply = desk.ask()
    if how == "fail":
        reply.settle(ModelFailed("no"))
    else:
        reply.close()
    if how == "close twice":
        reply.close()
    reply.settle({})
    (entry,) = desk.book.entries
    assert (entry.status, entry.code) == (status, code)
    (quota,) = [quota for _, _, quota in desk.accounts.quotas()]
    assert quota.remaining == pytest.approx(1)


def test_a_refusal_further_down_is_written_down_and_raised() -> None:
    desk = Desk(acme=TenantSettings(concurrency=1))
    desk.downstream.error = Overloaded("full")
    with pytest.raises(Overloaded):
        desk.ask()
    (entry,) = desk.book.entries
    assert (entry.status, entry.code, entry.model, entry.cost) == (503, "overloaded", "", 0.0)
    desk.downstream.error = None
    desk.end(desk.ask())


def test_a_bug_further_down_leaves_nothing_behind() -> None:
    desk = Desk(acme=TenantSettings(concurrency=1))
    desk.downstream.error = ZeroDivisionError("bug")
    with pytest.raises(ZeroDivisionError):
        desk.ask()
    assert desk.book.entries[0].status == 500
    desk.downstream.error = None
    desk.ask()


def test_a_client_that_leaves_before_it_was_accepted_is_settled() -> None:
    desk = Desk(acme=TenantSettings(concurrency=1))
    desk.downstream.error = GeneratorExit()
    with pytest.raises(GeneratorExit):
        desk.ask()
    assert desk.book.entries[0].code == Cancelled.code
    desk.downstream.error = None
    desk.ask()


def test_too_many_requests_are_told_when_to_come_again() -> None:
    desk = Desk(acme=FEW)
    for _ in range(2):
        reply = desk.ask()
    assert left(reply, "requests") == 0
    with pytest.raises(QuotaExceeded) as refusal:
        desk.ask()
    assert refusal.value.retry_after_s == 1
    assert "60 requests per minute" in refusal.value.message
    assert "acme" in refusal.value.message
    assert left(refusal.value, "requests") == 0
    assert (desk.book.entries[0].status, desk.book.entries[0].cost) == (429, 0.0)
    assert desk.accounts.refused["acme", "requests"] == 1
    desk.pass_time(1.0)
    desk.ask()


def test_a_refused_request_takes_nothing() -> None:
    desk = Desk(acme=TenantSettings(requests_per_minute=60, burst_s=1, tokens_per_minute=60_000))
    desk.ask()
    before = [quota.remaining for _, _, quota in desk.accounts.quotas()]
    with pytest.raises(QuotaExceeded):
        desk.ask()
    assert [quota.remaining for _, _, quota in desk.accounts.quotas()] == before


def test_tenants_do_not_share_limits_and_have_those_of_everybody_without_their_own() -> None:
    desk = Desk(**{"*": TenantSettings(concurrency=1), "free": TenantSettings()})
    desk.ask(question(tenant="a"))
    desk.ask(question(tenant="b"))
    with pytest.raises(QuotaExceeded):
        desk.ask(question(tenant="a"))
    for _ in range(5):
        desk.ask(question(tenant="free"))


def test_tokens_are_estimated_first_and_corrected_at_the_end() -> None:
    desk = Desk(acme=TenantSettings(tokens_per_minute=6000))
    reply = desk.ask(question("x" * 3000, max_tokens=100))
    assert left(reply, "tokens") < 6000 - 900
    desk.end(reply, prompt=10, answer=5)
    assert left(reply, "tokens") == pytest.approx(5985)
    long = desk.ask(question(max_tokens=10))
    desk.end(long, prompt=10_000, answer=5000)
    with pytest.raises(QuotaExceeded) as refusal:
        desk.ask(question(max_tokens=1))
    assert refusal.value.retry_after_s is not None
    assert 60 < refusal.value.retry_after_s < 120, "what was used beyond the limit is paid back"


def test_an_answer_that_may_be_long_is_not_shut_out_for_ever() -> None:
    desk = Desk(acme=TenantSettings(tokens_per_minute=100))
    reply = desk.ask(question(max_tokens=100_000))
    desk.end(reply, prompt=5, answer=5)
    assert left(reply, "tokens") == pytest.approx(90)


def test_a_prompt_over_the_whole_limit_is_refused_for_good() -> None:
    desk = Desk(acme=TenantSettings(tokens_per_minute=100))
    with pytest.raises(TooLarge, match="at most 100 tokens"):
        desk.ask(question("x" * 10_000))


def test_who_leaves_early_pays_for_what_was_read_and_said() -> None:
    desk = Desk(acme=TenantSettings(tokens_per_minute=6000))
    reply = desk.ask(question("x" * 1000, max_tokens=50))
    reply.close()
    assert left(reply, "tokens") == pytest.approx(6000 - 304, abs=2)
    assert desk.book.entries[0].prompt_tokens == 304
    assert desk.book.entries[0].cost
    known = desk.ask(question("x" * 1000, max_tokens=50))
    known.meta.usage = Usage(200, 0, 3)
    known.close()
    assert (desk.book.entries[1].prompt_tokens, desk.book.entries[1].completion_tokens) == (200, 3)


def test_a_failure_of_ours_costs_no_tokens() -> None:
    desk = Desk(acme=TenantSettings(tokens_per_minute=6000))
    reply = desk.ask()
    reply.settle(ModelFailed("no"))
    assert left(reply, "tokens") == pytest.approx(6000)


def test_a_kept_answer_costs_neither_tokens_nor_money() -> None:
    desk = Desk(acme=TenantSettings(tokens_per_minute=6000, budget_per_day=1))
    reply = desk.ask()
    reply.meta.cache = "hit"
    desk.end(reply, prompt=500, answer=500)
    assert left(reply, "tokens") == pytest.approx(6000)
    assert reply.meta.cost == 0.0
    assert desk.book.entries[0].prompt_tokens == 500


def test_requests_under_way_are_bounded_per_tenant() -> None:
    desk = Desk(acme=TenantSettings(concurrency=2))
    first, _ = desk.ask(), desk.ask()
    with pytest.raises(QuotaExceeded, match="2 requests may be under way"):
        desk.ask()
    first.close()
    assert left(desk.ask(), "concurrency") == 0


def test_each_key_and_each_model_may_have_limits_besides() -> None:
    limits = TenantSettings(
        concurrency=10, each_key=LimitSettings(concurrency=2), models={"premium": LimitSettings(concurrency=1)}
    )
    desk = Desk(acme=limits)
    desk.ask(question(model="premium@3"))
    with pytest.raises(QuotaExceeded, match="at 'premium'"):
        desk.ask(question(model="premium", key="k2"))
    desk.ask()
    with pytest.raises(QuotaExceeded, match="key 'k1'"):
        desk.ask()
    desk.ask(question(key="k2"))


def test_a_list_comes_in_as_one_or_not_at_all() -> None:
    desk = Desk(acme=TenantSettings(requests_per_minute=6, concurrency=5, tokens_per_minute=6000))
    first = desk.ask_all(*[question(max_tokens=10)] * 4)
    assert left(first[0], "concurrency") == 1
    before = [quota.remaining for _, _, quota in desk.accounts.quotas()]
    with pytest.raises(QuotaExceeded, match="5 requests may be under way"):
        desk.ask_all(*[question()] * 2)
    for reply in first:
        desk.end(reply, prompt=100, answer=50)
    with pytest.raises(QuotaExceeded, match="6 requests per minute") as refusal:
        desk.ask_all(*[question()] * 3)
    assert refusal.value.retry_after_s == 10
    assert len(desk.downstream.requests) == 4
    assert before[0] == 2
    assert left(refusal.value, "requests") == 2
    assert left(refusal.value, "tokens") == pytest.approx(6000 - 4 * 150)
    assert left(refusal.value, "concurrency") == 5
    assert [entry.prompt_tokens for entry in desk.book.entries if entry.status == 429] == [0] * 5
    desk.pass_time(10)
    desk.ask_all(*[question()] * 3)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (TenantSettings(requests_per_minute=6), "at most 6 prompts may come at once, not 10"),
        (TenantSettings(concurrency=4), "at most 4 prompts may come at once, not 10"),
        (TenantSettings(tokens_per_minute=1000), "at most 1000 tokens are allowed at once, and the prompt takes about"),
    ],
)
def test_a_list_that_no_wait_would_let_in_is_told_what_would(limits: TenantSettings, says: str) -> None:
    with pytest.raises(TooLarge, match=says):
        Desk(acme=limits).ask_all(*[question("x" * 1000)] * 10)


def test_a_list_that_is_refused_further_down_costs_nothing() -> None:
    desk = Desk(acme=TenantSettings(concurrency=10, tokens_per_minute=6000))
    taken: list[Request] = []

    async def third_is_too_much(request: Request) -> Reply:
        if len(taken) == 2:
            raise Overloaded("full")
        taken.append(request)
        return Reply(Meta("small", "1"))

    desk.accounts._handler = third_is_too_much
    with pytest.raises(Overloaded):
        desk.ask_all(*[question("x" * 500)] * 5)
    assert [(entry.status, entry.prompt_tokens) for entry in desk.book.entries] == [(503, 0)] * 5
    assert {quota.name: quota.remaining for _, _, quota in desk.accounts.quotas()} == {
        "concurrency": 10,
        "tokens": pytest.approx(6000),
    }


def test_each_of_a_list_is_settled_at_its_own_end() -> None:
    desk = Desk(acme=TenantSettings(concurrency=3, budget_per_day=1))
    one, two, three = desk.ask_all(question(), question(), question())
    desk.end(one, prompt=100, answer=0)
    two.settle(ModelFailed("no"))
    assert left(two, "concurrency") == 2
    assert left(two, "budget-day") == pytest.approx(0.9)
    three.close()
    three.close()
    assert left(three, "concurrency") == 3
    assert left(three, "budget-day") == pytest.approx(1 - sum(entry.cost or 0 for entry in desk.book.entries))
    assert [entry.status for entry in desk.book.entries] == [200, 500, 499]


def test_a_list_of_answers_that_may_be_long_is_not_shut_out_for_ever() -> None:
    desk = Desk(acme=TenantSettings(tokens_per_minute=1000, models={"chat": LimitSettings(tokens_per_minute=500)}))
    replies = desk.ask_all(*[question(max_tokens=100_000)] * 20)
    assert left(replies[0], "tokens") == pytest.approx(0)
    for reply in replies:
        desk.end(reply, prompt=5, answer=5)
    assert left(replies[-1], "tokens") == pytest.approx(300)


def test_what_models_ask_each_other_is_not_counted_twice() -> None:
    desk = Desk(**{"*": TenantSettings(concurrency=1), INTERNAL: TenantSettings(concurrency=1)})
    for _ in range(3):
        desk.ask(Request("1", "m", {}, principal=Principal(INTERNAL, INTERNAL_ID)))


def test_a_tenants_weight_travels_with_its_requests() -> None:
    desk = Desk(acme=TenantSettings(weight=3))
    desk.ask()
    desk.ask(question(tenant="other"))
    assert [request.weight for request in desk.downstream.requests] == [3.0, 1.0]


def test_rows_and_tokens_of_predictive_models() -> None:
    desk = Desk()
    desk.ask(rows(7)).settle({})
    texts = Request("1", "embedder", {"text": Tensor("BYTES", np.array([b"a", b"b"], object))})
    reply = desk.ask(texts)
    reply.settle({"tokens": Tensor("INT32", np.array([5, 7], np.int32))})
    numbers, embedded = desk.book.entries
    assert (numbers.rows, numbers.prompt_tokens, numbers.cost) == (7, 0, None)
    assert (embedded.rows, embedded.prompt_tokens, embedded.tenant) == (2, 12, "")


def test_a_generated_answer_brings_its_own_count() -> None:
    desk = Desk()
    desk.ask().settle(Generated(Usage(40, 30, 5)))
    assert desk.book.entries[0].cached_tokens == 30
    assert desk.book.entries[0].cost == pytest.approx(0.045)


def test_a_price_that_fails_harms_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object) -> float:
        raise KeyError("price")

    desk = Desk(broken, acme=TenantSettings(concurrency=1))
    told: list[Reply] = []
    for _ in range(2):
        reply = desk.ask()
        reply.add_end_callback(told.append)
        reply.settle({})
    assert len(told) == len(desk.book.entries) == 2
    assert "not_priced" in capsys.readouterr().err


def test_a_model_without_a_price_is_said_once_where_it_matters(capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(lambda meta, request: None, acme=TenantSettings(budget_per_day=1))
    for _ in range(3):
        desk.end(desk.ask())
    assert capsys.readouterr().err.count("no_price") == 1


def test_settings_are_refused_where_they_make_no_sense() -> None:
    for wrong in ({"requests_per_minute": 0}, {"concurrency": 0}, {"weight": 0}, {"budget_per_day": -1}, {"rpm": 1}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, TenantSettings)


def test_a_request_without_limits_costs_next_to_nothing() -> None:
    desk = Desk(lambda meta, request: 0.0)
    request, times = rows(1), []
    for _ in range(20):
        began = time.process_time()
        for _ in range(200):
            desk.ask(request).settle({})
        times.append((time.process_time() - began) / 200)
    assert min(times) < 100e-6
