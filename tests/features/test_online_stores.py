"""Every online store keeps the promises of the port."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from modelwright.core.errors import Conflict, Invalid, Unavailable
from modelwright.core.refs import Ref
from modelwright.features.backends import open_store
from modelwright.features.ports import Asked, Change, Merge, OnlineStore, put_together
from modelwright.features.records import OnlineState
from tests.waiting import LONG, eventually

VIEW, OTHER = Ref.parse("features:weather@1"), Ref.parse("features:delays/carriers@2")


def state(generation: str, rows: int, *, day: int = 1, view: Ref = VIEW, pushed: int = 0) -> OnlineState:
    at = datetime(2026, 1, day, tzinfo=UTC)
    source = Ref.parse("dataset:weather@1")
    return OnlineState(view=view, source=source, since=at, until=at, rows=rows, generation=generation, pushed=pushed)


@pytest.fixture(scope="module")
def redis_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    redis = pytest.importorskip("redis", reason="the package redis is not installed")
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("there is no redis-server on this machine")
    socket = tmp_path_factory.mktemp("redis") / "s"
    command = [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(socket.parent)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis(unix_socket_path=str(socket))

        def answers() -> bool:
            assert server.poll() is None, "Redis ended"
            with suppress(redis.ConnectionError):
                return bool(client.ping())
            return False

        eventually(answers, "A start of Redis")
        client.close()
        yield f"unix://{socket}"
    finally:
        server.terminate()
        server.wait(LONG)


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OnlineStore]:
    address = ""
    if request.param == "postgresql":
        address = request.getfixturevalue("postgres_url")
    elif request.param == "redis":
        address = request.getfixturevalue("redis_address")
    opened = open_store(address, tmp_path / "online.db")
    for view in opened.states():
        opened.drop(view)
    yield opened
    for view in (VIEW, OTHER):
        opened.drop(view)
    opened.close()


def changed(store: OnlineStore, told: OnlineState, keys: list[str], merge: Merge) -> OnlineState | None:
    (found,) = store.update([Change(told, keys, merge)])
    return found


def filled(store: OnlineStore, generation: str = "g1", view: Ref = VIEW, day: int = 1) -> OnlineState:
    store.load(view, generation, [("a", b"1"), ("b", b"2")])
    made = state(generation, 2, view=view, day=day)
    assert store.publish(made)
    return made


def test_one_trip_reads_several_views_and_says_of_which_state(store: OnlineStore) -> None:
    made, other = filled(store), filled(store, "g2", OTHER)
    unknown = Ref.parse("features:unknown@1")
    for _ in range(2):  # a store may know more at the second time
        found = store.read(
            [Asked(VIEW, ["b", "z", None, "a"]), Asked(unknown, ["a"]), Asked(OTHER, ["a"]), Asked(VIEW, [])]
        )
        assert [(each.state, list(each.rows)) for each in found] == [
            (made, [b"2", None, None, b"1"]),
            (None, []),
            (other, [b"1"]),
            (made, []),
        ]


def test_a_generation_is_unseen_until_it_is_whole_and_then_takes_the_place_of_the_other(store: OnlineStore) -> None:
    before = filled(store)
    store.load(VIEW, "g2", [("a", b"3")])
    store.load(VIEW, "g2", [("a", b"4")])
    assert store.held(VIEW, "g2") == 1
    assert store.read([Asked(VIEW, ["a"])])[0].rows == [b"1"]
    with pytest.raises(Conflict, match=r"Of 2 rows .* 1 have arrived"):
        store.publish(state("g2", 2, day=2))
    assert store.read([Asked(VIEW, [])])[0].state == before
    assert store.publish(state("g2", 1, day=2))
    assert not store.publish(state("g2", 1, day=2))
    assert store.read([Asked(VIEW, ["a", "b"])])[0].rows == [b"4", None]
    assert store.held(VIEW, "g1") == 0


def test_what_was_known_later_stays(store: OnlineStore) -> None:
    filled(store, day=2)
    store.load(VIEW, "g2", [])
    with pytest.raises(Conflict, match="later than"):
        store.publish(state("g2", 0, day=1))


def test_an_update_changes_rows_and_what_is_said_of_them(store: OnlineStore) -> None:
    made = filled(store)
    told = changed(store, replace(made, pushed=7), ["a", "c"], lambda key, old: key.encode() + (old or b"-"))
    assert told == replace(made, pushed=7, rows=3, bytes=made.bytes + 1 + 3)  # a byte more of a row, and a key with its row
    found = store.read([Asked(VIEW, ["a", "b", "c"])])[0]
    assert (found.state, list(found.rows)) == (told, [b"a1", b"2", b"c-"])
    assert changed(store, replace(made, pushed=6), ["a"], lambda key, old: b"old") is None
    assert changed(store, replace(made, generation="g0", pushed=9), ["a"], lambda key, old: b"old") is None
    assert store.read([Asked(VIEW, ["a"])])[0].rows == [b"a1"]


def test_several_views_are_changed_together_and_one_that_was_overtaken_holds_up_no_other(store: OnlineStore) -> None:
    made, other = filled(store), filled(store, "g2", OTHER)
    unknown = state("g1", 0, view=Ref.parse("features:unknown@1"))
    told = store.update(
        [
            Change(replace(made, pushed=3), ["a"], lambda key, old: b"new"),
            Change(unknown, ["a"], lambda key, old: b"none"),
            Change(replace(other, pushed=3, generation="g1"), ["a"], lambda key, old: b"late"),
            Change(replace(other, pushed=4), ["z"], lambda key, old: b"also"),
        ]
    )
    grown = [made.bytes + 2, other.bytes + 5]
    assert told == [
        replace(made, pushed=3, rows=2, bytes=grown[0]),
        None,
        None,
        replace(other, pushed=4, rows=3, bytes=grown[1]),
    ]
    one, two = store.read([Asked(VIEW, ["a"]), Asked(OTHER, ["a", "z"])])
    assert (list(one.rows), list(two.rows)) == ([b"new"], [b"1", b"also"])
    assert store.update([]) == []


def test_updates_at_once_are_one_after_the_other(store: OnlineStore) -> None:
    made = filled(store)

    def add() -> None:
        for _ in range(10):
            changed(store, made, ["a"], lambda key, old: str(int(old or b"0") + 1).encode())

    threads = [threading.Thread(target=add) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert store.read([Asked(VIEW, ["a"])])[0].rows == [b"31"]


def test_what_stands_online_is_listed_and_forgotten(store: OnlineStore) -> None:
    made, other = filled(store), filled(store, "g2", OTHER)
    assert store.states() == {VIEW: made, OTHER: other}
    store.drop(VIEW)
    assert store.states() == {OTHER: other}
    assert store.read([Asked(VIEW, ["a"])])[0].state is None
    assert store.held(VIEW, "g1") == 0


def test_an_address_that_is_no_store_is_told(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="mongodb"):
        open_store("mongodb://here", tmp_path / "online.db")


def test_a_store_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    pytest.importorskip("redis", reason="the package redis is not installed")
    for address in (f"unix://{tmp_path}/none", f"postgresql://nobody@/none?host={tmp_path}"):
        with pytest.raises(Unavailable, match="does not answer"):
            open_store(address, tmp_path / "online.db").read([Asked(VIEW, ["a"])])


def test_a_redis_that_wants_a_password_says_so(redis_address: str, tmp_path: Path) -> None:
    import redis

    with redis.Redis(unix_socket_path=redis_address.removeprefix("unix://")) as admin:
        admin.config_set("requirepass", "secret")
        try:
            for wrong in (redis_address, redis_address.replace("unix://", "unix://:wrong@")):
                with pytest.raises(Unavailable, match="does not let us in") as told:
                    open_store(wrong, tmp_path / "online.db").states()
                assert "redis://USER:PASSWORD@HOST" in told.value.mend
            assert open_store(redis_address.replace("unix://", "unix://:secret@"), tmp_path / "online.db").states() == {}
        finally:
            with redis.Redis(unix_socket_path=redis_address.removeprefix("unix://"), password="secret") as again:
                again.config_set("requirepass", "")


def test_a_postgresql_that_knows_no_such_user_says_so(postgres_url: str, tmp_path: Path) -> None:
    stranger = sa.make_url(postgres_url).set(username="stranger").render_as_string(hide_password=False)
    with pytest.raises(Unavailable, match=r"does not let us in: .*stranger.*does not exist") as told:
        open_store(stranger, tmp_path / "online.db").states()
    assert "postgresql://USER:PASSWORD@HOST" in told.value.mend


def test_a_postgresql_that_restarted_is_asked_again(postgres_url: str, tmp_path: Path) -> None:
    store = open_store(postgres_url, tmp_path / "online.db")
    made = filled(store)
    admin = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    for read in (lambda: store.read([Asked(VIEW, ["a"])])[0].state, lambda: store.states()[VIEW]):
        with admin.connect() as connection:
            others = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database()"
            connection.execute(sa.text(f"{others} AND pid <> pg_backend_pid()")).all()
        assert read() == made
    store.close()


def test_what_another_writer_publishes_is_read_at_once_by_whoever_read_before(store: OnlineStore) -> None:
    """States are remembered between reads, as long as nobody writes."""
    before = filled(store)
    assert store.read([Asked(VIEW, ["a"] * 5)])[0] == (before, [b"1"] * 5)
    done: list[bool] = []

    def write() -> None:  # a thread has a connection of its own
        store.load(VIEW, "g2", [("a", b"3")])
        done.append(store.publish(state("g2", 1, day=2)))

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    assert done == [True]
    found = store.read([Asked(VIEW, ["a", None, "b", "a", "c"])])[0]
    assert (found.state, list(found.rows)) == (state("g2", 1, day=2), [b"3", None, None, b"3", None])
    assert store.publish(state("g2", 1, day=2)) is False
    store.drop(VIEW)
    assert store.read([Asked(VIEW, ["a"])])[0].state is None


def test_connections_that_redis_has_cut_are_made_anew(redis_address: str, tmp_path: Path) -> None:
    import redis

    store = open_store(redis_address, tmp_path / "online.db")
    made = filled(store)
    client = redis.Redis.from_url(redis_address)
    for _ in range(3):
        found = store.read([Asked(VIEW, ["a", None, "z", "b"])])[0]
        assert (found.state, list(found.rows)) == (made, [b"1", None, None, b"2"])
        client.client_kill_filter(_type="normal", skipme=True)
    client.close()
    store.drop(VIEW)
    store.close()


def test_an_answer_that_takes_its_time_is_waited_for(redis_address: str, tmp_path: Path) -> None:
    import redis

    store = open_store(redis_address, tmp_path / "online.db")
    made = filled(store)
    with redis.Redis.from_url(redis_address) as client:
        for pause in (0, 50, 50, 0):  # milliseconds; the third read no longer looks out for its answer
            if pause:
                client.client_pause(pause)
            found = store.read([Asked(VIEW, ["a", None, "z", "b"])])[0]
            assert (found.state, list(found.rows)) == (made, [b"1", None, None, b"2"])
    store.drop(VIEW)
    store.close()


def test_what_redis_itself_refuses_is_told_in_its_words(redis_address: str, tmp_path: Path) -> None:
    import redis

    store = open_store(redis_address, tmp_path / "online.db")
    filled(store)
    store.read([Asked(VIEW, ["a"])])
    client = redis.Redis.from_url(redis_address)
    place = next(each for each in client.keys("*rows*") if b"weather" in each)
    client.set(place, "no hash")
    with pytest.raises(Unavailable, match="refuses that: WRONGTYPE"):
        store.read([Asked(VIEW, ["a"])])
    client.delete(place)
    client.close()
    store.drop(VIEW)
    store.close()


def test_what_is_loaded_meanwhile_by_another_changes_nothing_that_is_read(tmp_path: Path) -> None:
    one, other = (open_store("", tmp_path / "online.db") for _ in range(2))
    made = filled(one)
    keys = ["a", "b", "z", None, "a"]
    rows = [b"1", b"2", None, None, b"1"]
    assert (one.read([Asked(VIEW, keys)])[0].state, list(one.read([Asked(VIEW, keys)])[0].rows)) == (made, rows)
    other.load(VIEW, "g2", [("a", b"9"), ("z", b"8")])
    assert list(one.read([Asked(VIEW, keys)])[0].rows) == rows
    told = state("g2", 2, day=2)
    assert other.publish(told)
    assert (one.read([Asked(VIEW, keys)])[0].state, list(one.read([Asked(VIEW, keys)])[0].rows)) == (
        told,
        [b"9", None, b"8", None, b"9"],
    )
    other.drop(VIEW)
    assert one.read([Asked(VIEW, ["a"])])[0].state is None
    one.close()
    other.close()


def test_views_that_are_read_together_tell_what_each_tells_by_itself_whatever_changed_in_between(
    store: OnlineStore,
) -> None:
    def agree(*views: Ref) -> None:
        for keys in (["a"], ["z"], [None], [], ["a", "b", None, "z"], [*"abcdefgh"]):
            for _ in range(2):  # what was found out at one read is taken for granted by the next
                found = put_together(store.read([Asked(view, keys) for view in views]))
                told = store.together(views, keys)
                assert [*told.states] == [*found.states]
                assert [[*rows] for rows in told.rows] == [[*rows] for rows in found.rows]

    agree(VIEW)
    store.load(VIEW, "one", [(key, key.encode()) for key in "abcd"])
    store.publish(state("one", 4))
    agree(VIEW)
    agree(VIEW, OTHER)
    store.load(OTHER, "two", [(key, key.upper().encode()) for key in "ax"])
    store.publish(state("two", 2, view=OTHER))
    agree(VIEW, OTHER)
    changed(store, state("one", 4, pushed=1), ["a", "e"], lambda key, row: (row or b"") + b"+")
    agree(VIEW, OTHER)
    assert store.together((VIEW, OTHER), ["a"]).rows[0][0] == b"a+"
    store.load(VIEW, "three", [("a", b"newer")])
    store.publish(state("three", 1, day=2))
    agree(VIEW, OTHER)
    store.drop(OTHER)
    agree(VIEW, OTHER)
    agree(VIEW)


def test_a_file_that_was_deleted_or_replaced_is_noticed_when_it_is_asked_what_stands(tmp_path: Path) -> None:
    """As when an operator lost it under a running server, and a command has filled another."""
    path = tmp_path / "online.db"
    running = open_store("", path)
    filled(running)
    assert running.read([Asked(VIEW, ("a",))])[0].rows == [b"1"]
    for file in tmp_path.glob("online.db*"):
        file.unlink()
    assert running.states() == {}
    assert running.read([Asked(VIEW, ("a",))])[0].state is None
    for file in tmp_path.glob("online.db*"):
        file.unlink()
    beside = open_store("", path)
    made = filled(beside, "g2", day=2)
    assert running.states() == {VIEW: made}
    assert running.read([Asked(VIEW, ("a",))])[0].state == made
    beside.close()
    running.close()


def test_a_file_that_is_no_store_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "online.db").write_bytes(b"no database, but as long as the head of one" * 20)
    for path in (tmp_path / "online.db", tmp_path / "nowhere" / "online.db"):
        with pytest.raises(Unavailable, match="cannot be used") as told:
            open_store("", path).states()
        assert "--lost" in told.value.mend


def test_a_redis_without_memory_is_unavailable_and_quotes_no_rows(redis_address: str, tmp_path: Path) -> None:
    import redis

    opened = open_store(redis_address, tmp_path / "online.db")
    with redis.Redis(unix_socket_path=redis_address.removeprefix("unix://")) as admin:
        admin.config_set("maxmemory", 1)
        try:
            with pytest.raises(Unavailable, match="used memory") as told:
                opened.load(VIEW, "g1", [("[7]", b"a row")])
        finally:
            admin.config_set("maxmemory", 0)
    assert "a row" not in str(told.value) and "Pushes are kept" in told.value.mend
    opened.close()


def test_a_postgresql_that_gives_no_rights_is_unavailable(postgres_url: str, tmp_path: Path) -> None:
    open_store(postgres_url, tmp_path / "online.db").states()
    url = sa.make_url(postgres_url)
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as admin:
        admin.execute(sa.text("DROP ROLE IF EXISTS guest"))
        admin.execute(sa.text("CREATE ROLE guest LOGIN PASSWORD 'guest'"))
    asked = url.set(username="guest", password="guest").render_as_string(hide_password=False)
    with pytest.raises(Unavailable, match="does not let us in: permission denied"):
        open_store(asked, tmp_path / "online.db").states()
    with engine.connect() as admin:
        admin.execute(sa.text("DROP ROLE guest"))
    engine.dispose()
