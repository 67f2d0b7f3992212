"""The services that tests start are real, start empty, and come back."""

from __future__ import annotations

from tests.services import Redis, running_postgres, running_redis


def test_redis_answers_and_knows_nothing(redis_server: Redis) -> None:
    import redis

    client = redis.Redis.from_url(redis_server.url)
    assert client.keys() == []
    client.set("a", 1)
    redis_server.clear()
    assert client.keys() == []
    client.close()


def test_redis_stops_and_comes_back() -> None:
    with running_redis() as service:
        service.stop()
        assert not service.answers()
        service.start()
        assert service.answers()


def test_postgres_gives_empty_databases(postgres: str) -> None:
    import psycopg

    with psycopg.connect(postgres) as connection:
        tables = connection.execute("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'")
        assert tables.fetchone() == (0,)


def test_postgres_keeps_what_it_knew() -> None:
    import psycopg

    with running_postgres() as service:
        url = service.new()
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE t AS SELECT 42 AS x")
        service.stop()
        assert not service.answers()
        service.start()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT x FROM t").fetchone() == (42,)
