"""What is kept and what is given again, by the settings of a route and the wishes of a caller."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.core.errors import ModelFailed, NotCached, Overloaded, PenstockError, Unavailable
from penstock.core.generation import Generation
from penstock.core.reply import Reply
from penstock.core.request import Hints
from penstock.protocols.http.drive import Drive
from penstock.routing.failure.ladder import LadderSettings
from penstock.telemetry.answers import families
from tests.routing.responses.world import AtOnce, Computing, Route, asks, question, rows, said, spec, tell

RANDOM = {"temperature": 0.7}


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


def test_a_second_answer_is_the_first_again() -> None:
    async def scenario() -> None:
        route = Route()
        first = await route.ask()
        route.advance(10)
        second = await route.ask()
        assert (said(first), said(second)) == ("Here 1", "Here 1")
        assert (first.meta.cache, second.meta.cache) == ("miss", "hit")
        assert second.meta.age_s == pytest.approx(10)
        meta = second.meta
        assert (meta.model, meta.version, meta.route, meta.why) == ("small", "1", "route", "kept answer")
        assert (meta.cost, meta.busy_s, meta.usage) == (0.0, 0.0, first.meta.usage)
        assert len(route.computing) == 1
        assert (route.cache.counts.hits, route.cache.counts.misses) == (1, 1)

    run(scenario())


def test_rows_too() -> None:
    async def scenario() -> None:
        route = Route()
        for _ in range(2):
            reply = await route.ask(asks(rows(1, 2)))
            assert reply.tensors()["y"].array.tolist() == [[3], [5]]
        assert len(route.computing) == 1
        assert (await route.ask(asks(rows(1)))).tensors()["y"].array.tolist() == [[4]]

    run(scenario())


def test_without_a_task_too() -> None:
    """As the server's own exchanges ask: driven by hand."""
    route, results = Route(), []

    async def exchange() -> str:
        reply = await route.ask()
        await reply.began()
        return said(reply)

    async def scenario() -> None:
        Drive(exchange(), results.append)
        Drive(exchange(), results.append)

    run(scenario())
    assert results == ["Here 1", "Here 1"]


def test_tenants_never_share_unless_told() -> None:
    async def scenario() -> None:
        apart, together = Route(), Route({"shared": True})
        for tenant in ("ours", "theirs", None, ""):
            await apart.ask(asks(tenant=tenant))
            await together.ask(asks(tenant=tenant))
        assert (len(apart.computing), len(together.computing)) == (4, 1)

    run(scenario())


def test_an_answer_grows_too_old() -> None:
    async def scenario() -> None:
        route = Route({"ttl_s": 60})
        await route.ask()
        route.advance(60)
        assert (await route.ask()).meta.cache == "hit"
        route.advance(0.1)
        assert said(await route.ask()) == "Here 2"
        assert len(route.cache.memory) == 1

    run(scenario())


def test_how_old_it_may_be_is_the_callers_wish_too() -> None:
    async def scenario() -> None:
        route = Route()
        await route.ask()
        route.advance(30)
        assert (await route.ask(max_age_s=31.0)).meta.cache == "hit"
        assert said(await route.ask(max_age_s=29.0)) == "Here 2"
        assert said(await route.ask()) == "Here 2", "the newer one is kept"
        assert said(await route.ask(max_age_s=0.0)) == "Here 3"

    run(scenario())


def test_no_cache_is_a_new_answer_that_is_kept() -> None:
    async def scenario() -> None:
        route = Route()
        await route.ask()
        assert said(await route.ask(no_cache=True)) == "Here 2"
        assert said(await route.ask()) == "Here 2"

    run(scenario())


def test_no_store_keeps_nothing() -> None:
    async def scenario() -> None:
        route = Route()
        assert said(await route.ask(no_store=True)) == "Here 1"
        assert len(route.cache.memory) == 0
        await route.ask()
        assert (await route.ask(no_store=True)).meta.cache == "hit"
        assert said(await route.ask(no_store=True, no_cache=True)) == "Here 3"
        assert said(await route.ask()) == "Here 2"

    run(scenario())


def test_nothing_but_a_kept_answer() -> None:
    async def scenario() -> None:
        route = Route()
        with pytest.raises(NotCached, match="only-if-cached"):
            await route.ask(cached_only=True)
        assert not len(route.computing)
        await route.ask()
        assert (await route.ask(cached_only=True)).meta.cache == "hit"
        for wish in ({"no_cache": True}, {"max_age_s": 0.0}):
            with pytest.raises(NotCached):
                await route.ask(cached_only=True, **wish)
        with pytest.raises(NotCached):
            await route.ask(asks(question(**RANDOM), cached_only=True))

    run(scenario())


def test_what_chance_has_a_part_in_is_not_kept_unless_told() -> None:
    async def scenario() -> None:
        usual, told = Route(), Route({"random": True})
        for _ in range(2):
            for payload in (question(**RANDOM), Generation(prompt="x")):
                assert (await usual.ask(asks(payload))).meta.cache == ""
                await told.ask(asks(payload))
        assert (len(usual.computing), len(usual.cache.memory)) == (4, 0)
        assert (len(told.computing), len(told.cache.memory)) == (2, 2)

    run(scenario())


class Failing(Computing):
    """Fails before or after its first words."""

    def __init__(self, error: PenstockError, *words: str):
        super().__init__()
        self.failure, self.words = error, words

    async def __call__(self, request: Any) -> Reply:
        reply = await super().__call__(request)
        tell(reply, *self.words, end=False)
        reply.settle(self.failure)
        return reply


@pytest.mark.parametrize("words", [(), ("half a",)])
def test_errors_are_not_kept(words: tuple[str, ...]) -> None:
    async def scenario() -> None:
        route = Route(computing=Failing(ModelFailed("no"), *words))
        for _ in range(2):
            reply = await route.ask()
            with pytest.raises(ModelFailed):
                reply.generated()
        assert len(route.cache.memory) == 0
        assert route.cache.under_way == 0
        assert len(route.computing) == 2

    run(scenario())


def test_a_refusal_is_not_kept() -> None:
    async def scenario() -> None:
        route = Route()
        route.computing.error = Overloaded("full")
        with pytest.raises(Overloaded):
            await (await route.ask()).began()
        route.computing.error = None
        assert said(await route.ask()) == "Here 1"

    run(scenario())


class Degraded(AtOnce):
    """Answers as a step of the ladder."""

    async def __call__(self, request: Any) -> Reply:
        reply = await super().__call__(request)
        reply.meta.degraded = "small"
        return reply


class Second(AtOnce):
    """Answers because the first choice did not."""

    async def __call__(self, request: Any) -> Reply:
        reply = await super().__call__(request)
        reply.meta.fallback = True
        return reply


@pytest.mark.parametrize("computing", [Degraded(), Second(), AtOnce("elsewhere"), AtOnce("rule")])
def test_what_was_said_in_need_does_not_outlive_it(computing: Computing) -> None:
    async def scenario() -> None:
        route = Route(computing=computing, fallback=("elsewhere", "rule"))
        await route.ask()
        assert len(route.cache.memory) == 0

    run(scenario())


@pytest.mark.parametrize("way", [{"fallback": ("cached",)}, {"ladder": LadderSettings(steps=("cached",))}])
def test_an_older_answer_is_better_than_none(way: dict[str, Any]) -> None:
    async def scenario() -> None:
        route = Route({"ttl_s": 60, "stale_s": 600}, **way)
        await route.ask()
        route.advance(61)
        for _ in range(2):
            reply = await route.cache.stale(asks())
            assert (said(reply), reply.meta.cache, reply.meta.age_s) == ("Here 1", "hit", pytest.approx(61))
        for wish in ({"no_cache": True}, {"max_age_s": 60.0}, {"max_age_s": 0.0}):
            with pytest.raises(Unavailable, match="no older answer"):
                await route.cache.stale(asks(**wish))
        with pytest.raises(Unavailable):
            await route.cache.stale(asks(question("Another?")))
        route.advance(600)
        with pytest.raises(Unavailable):
            await route.cache.stale(asks())
        assert route.cache.counts.stale == 2

    run(scenario())


def test_where_older_answers_are_a_fallback_those_of_chance_are_kept_for_it_alone() -> None:
    async def scenario() -> None:
        route = Route(fallback=("cached",))
        request = asks(question(**RANDOM))
        assert [said(await route.ask(request)) for _ in range(2)] == ["Here 1", "Here 2"]
        assert said(await route.cache.stale(request)) == "Here 2"
        without = Route(fallback=("large",))
        await without.ask(request)
        with pytest.raises(Unavailable):
            await without.cache.stale(request)

    run(scenario())


def test_who_is_told_a_kept_answer_by_a_fallback_does_not_make_it_young() -> None:
    async def scenario() -> None:
        route = Route({"ttl_s": 60}, fallback=("cached",))
        await route.ask()
        route.advance(100)
        request = asks()
        reply = await route.cache.answer(request, route.cache.stale)
        assert (said(reply), reply.meta.cache, reply.meta.age_s) == ("Here 1", "hit", pytest.approx(100))
        assert (await route.cache.stale(request)).meta.age_s == pytest.approx(100)

    run(scenario())


def test_a_pin_and_a_sessions_quality_have_answers_of_their_own() -> None:
    async def scenario() -> None:
        route = Route()
        await route.ask()
        assert (await route.ask(pin="large")).meta.cache == "miss"
        assert (await route.cache.answer(asks(), route.computing, floor=1.0)).meta.cache == "miss"
        assert (await route.ask()).meta.cache == "hit"

    run(scenario())


@pytest.mark.parametrize(
    "change",
    [{"version": "2"}, {"sha256": "other"}, {"options": {"context": 5}}, {"device": "cuda"}, {"precision": "int8"}],
)
def test_another_version_of_a_model_answers_anew(change: dict[str, Any]) -> None:
    async def scenario() -> None:
        route = Route()
        await route.ask()
        route.served.specs["large"] = spec("large", **change)
        assert (await route.ask()).meta.cache == "miss"
        assert (await route.ask()).meta.cache == "hit"
        del route.served.specs["large"]
        assert (await route.ask()).meta.cache == "miss"

    run(scenario())


def test_settings_that_change_answers_change_keys_and_others_do_not() -> None:
    def key(**settings: Any) -> bytes | None:
        return Route(**settings).cache.key(asks())

    assert key() == key(cache={"ttl_s": 5}) == key(timeout_ms=5) == key(hedge_ms=5)
    others = [
        key(),
        key(policy="cost"),
        key(models=("small",)),
        key(models=("large", "small")),
        key(fallback=("rule",)),
    ]
    assert len(set(others)) == len(others)


def test_a_file_without_a_digest_is_known_by_size_and_time(tmp_path: Any) -> None:
    file = tmp_path / "model.gguf"

    def key(**more: Any) -> bytes | None:
        route = Route()
        route.served.specs["small"] = spec("small", sha256=None, **more)
        return route.cache.key(asks())

    file.write_bytes(b"one")
    first = key(path=str(file))
    assert key(path=str(file)) == first
    assert key(path=str(tmp_path)) != first
    tokenizer = key(path=str(file), options={"tokenizer": str(file)})
    assert tokenizer != key(path=str(file), options={"tokenizer": "elsewhere"})
    folder = key(path=str(file), options={"import_from": str(tmp_path)})
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "notes.txt").write_text("beside the model")
    assert key(path=str(file), options={"import_from": str(tmp_path)}) == folder
    file.write_bytes(b"another")
    assert key(path=str(file)) != first
    assert key(path="module:attribute") == key(path="module:attribute"), "within one process"


def test_memory_is_bounded() -> None:
    async def scenario() -> None:
        route = Route({"max_mb": 0.01})
        for number in range(100):
            await route.ask(asks(question(str(number))))
        assert 5 < len(route.cache.memory) < 40
        assert route.cache.memory.bytes <= 0.01 * 2**20
        assert route.cache.memory.evictions == 100 - len(route.cache.memory)

    run(scenario())


def test_hints_may_be_there_and_say_nothing() -> None:
    async def scenario() -> None:
        route, request = Route(), asks()
        request.hints = Hints()
        await route.ask(request)
        assert (await route.ask()).meta.cache == "hit"

    run(scenario())


def test_the_metrics_page_shows_it() -> None:
    async def scenario() -> None:
        route = Route({"ttl_s": 60}, fallback=("cached",))
        await route.ask()
        await route.cache.stale(asks())
        shown = {family.name: family.samples[0] for family in families([route.cache])}
        assert shown["penstock_answers_items"].value == 1
        assert shown["penstock_answers_bytes"].value == route.cache.memory.bytes > 0
        assert shown["penstock_answers_stale"].value == 1
        assert {sample.labels["route"] for sample in shown.values()} == {"route"}
        assert [shown[f"penstock_answers_{name}"].value for name in ("shared", "similar", "evictions", "away")] == [
            0
        ] * 4
        assert list(families([])) == []

    run(scenario())
