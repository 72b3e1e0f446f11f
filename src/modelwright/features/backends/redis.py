"""The online store in Redis: a hash of rows for each generation, a state for each view version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from typing import Any

from msgspec.structs import replace

from modelwright.core.errors import Conflict, Unavailable
from modelwright.core.refs import Ref
from modelwright.core.wire import decode, encode
from modelwright.features.backends.answering import unavailable
from modelwright.features.backends.redis_wire import Wire, begun, command, texts
from modelwright.features.ports import (
    Asked,
    Change,
    Found,
    Merge,
    Together,
    grown_by,
    overtaken,
    put_together,
    refuse_incomplete,
    refuse_older,
)
from modelwright.features.records import OnlineState

_PREFIX = "modelwright:online"
_ATTEMPTS = 100  # at a change that others are making too


class RedisStore:
    """A pool of connections, made at the first use. See `ports.OnlineStore`.

    A read is one pipeline: it asks for the rows of the generation it saw last together with the state, and again only if
    that has changed in between.
    """

    near = False

    def __init__(self, address: str) -> None:
        self._address = address
        self._seen: dict[Ref, str] = {}
        self._decoded: dict[bytes, OnlineState] = {}  # states by their text: they are few and read all the time

    @cached_property
    def _client(self) -> Any:
        try:
            import redis
        except ImportError:
            raise Unavailable(
                "The online store in Redis needs the package redis.", mend="pip install 'modelwright[redis]'"
            ) from None
        return redis.Redis.from_url(self._address)

    @cached_property
    def _wire(self) -> Wire:
        return Wire(self._client)

    def load(self, view: Ref, generation: str, rows: Sequence[tuple[str, bytes]]) -> None:
        """See `ports.OnlineStore`."""
        with self._answering(), self._client.pipeline(transaction=True) as pipe:
            pipe.sadd(_generations(view), generation)
            if rows:
                pipe.hset(_rows(view, generation), mapping=dict(rows))
            pipe.execute()

    def held(self, view: Ref, generation: str) -> int:
        """See `ports.OnlineStore`."""
        with self._answering():
            return int(self._client.hlen(_rows(view, generation)))

    def publish(self, state: OnlineState) -> bool:
        """See `ports.OnlineStore`."""

        def change(pipe: Any) -> bool:
            current = _state(pipe.get(_said(state.view)))
            if current is not None and current.generation == state.generation:
                return False
            refuse_older(current, state)
            refuse_incomplete(state, pipe.hlen(_rows(state.view, state.generation)))
            others = [each.decode() for each in pipe.smembers(_generations(state.view))]
            pipe.multi()
            pipe.set(_said(state.view), encode(state))
            pipe.sadd(f"{_PREFIX}:views", str(state.view))
            for other in others:
                if other != state.generation:
                    pipe.unlink(_rows(state.view, other))
                    pipe.srem(_generations(state.view), other)
            return True

        return bool(self._alone(state.view, change))

    def update(self, changes: Sequence[Change]) -> Sequence[OnlineState | None]:
        """See `ports.OnlineStore`. Each view by itself: what is watched for one would be tried again for all."""
        return [self._update(*each) for each in changes]

    def _update(self, state: OnlineState, keys: Sequence[str], merge: Merge) -> OnlineState | None:
        place = _rows(state.view, state.generation)

        def change(pipe: Any) -> OnlineState | None:
            current = _state(pipe.get(_said(state.view)))
            if current is None or overtaken(current, state):
                return None
            held = pipe.hmget(place, list(keys)) if keys else []
            made = {key: merge(key, row) for key, row in zip(keys, held, strict=True)}
            grown = grown_by((key, row, made[key]) for key, row in zip(keys, held, strict=True))
            told = replace(state, rows=current.rows + sum(row is None for row in held), bytes=current.bytes + grown)
            pipe.multi()
            if made:
                pipe.hset(place, mapping=made)
            pipe.set(_said(state.view), encode(told))
            return told

        return self._alone(state.view, change)  # type: ignore[no-any-return]

    def read(self, asked: Sequence[Asked]) -> Sequence[Found]:
        """See `ports.OnlineStore`."""
        with self._answering():
            for _ in range(_ATTEMPTS):
                states, rows = self._fetch(asked)
                changed = False
                for (view, _), state in zip(asked, states, strict=True):
                    generation = state.generation if state else ""
                    changed |= self._seen.get(view, "") != generation
                    self._seen[view] = generation
                if not changed:
                    break
        return [Found(state, found if state else []) for state, found in zip(states, rows, strict=True)]

    def _fetch(self, asked: Sequence[Asked]) -> tuple[list[OnlineState | None], list[list[bytes | None]]]:
        seen = [self._seen.get(view, "") for view, _ in asked]
        named = [keys if None not in keys else [key for key in keys if key is not None] for _, keys in asked]
        said, *found = self._wire.transaction(_commands(asked, seen, named)) or self._asked(asked, seen, named)
        each, rows = iter(found), []
        for (_, keys), wanted, generation in zip(asked, named, seen, strict=True):
            held = next(each) if wanted and generation else [None] * len(wanted)
            if wanted is not keys:
                values = iter(held)
                held = [None if key is None else next(values) for key in keys]
            rows.append(held)
        return [self._known(text) for text in said], rows

    def _asked(self, asked: Sequence[Asked], seen: Sequence[str], named: Sequence[Sequence[Any]]) -> list[Any]:
        """The states, and the rows of each view, by way of the client: it knows what to do when something is amiss."""
        with self._client.pipeline(transaction=True) as pipe:
            pipe.mget([_said(view) for view, _ in asked])
            for (view, _), generation, wanted in zip(asked, seen, named, strict=True):
                if wanted and generation:
                    pipe.hmget(_rows(view, generation), list(wanted))
            return list(pipe.execute())

    def _known(self, text: bytes | None) -> OnlineState | None:
        if text is None:
            return None
        found = self._decoded.get(text)
        if found is None:
            if len(self._decoded) > 1000:
                self._decoded.clear()
            found = self._decoded[text] = decode(text, OnlineState)
        return found

    def together(self, views: Sequence[Ref], keys: Sequence[str | None]) -> Together:
        """See `ports.OnlineStore`."""
        return put_together(self.read([Asked(view, keys) for view in views]))

    def states(self) -> Mapping[Ref, OnlineState]:
        """See `ports.OnlineStore`."""
        with self._answering():
            views = sorted(each.decode() for each in self._client.smembers(f"{_PREFIX}:views"))
            texts = self._client.mget([_said(Ref.parse(view)) for view in views]) if views else []
        return {state.view: state for state in map(_state, texts) if state is not None}

    def drop(self, view: Ref) -> None:
        """See `ports.OnlineStore`."""

        def change(pipe: Any) -> None:
            others = [each.decode() for each in pipe.smembers(_generations(view))]
            pipe.multi()
            pipe.delete(_said(view), _generations(view))
            pipe.srem(f"{_PREFIX}:views", str(view))
            for other in others:
                pipe.unlink(_rows(view, other))

        self._alone(view, change)

    def close(self) -> None:
        """See `ports.OnlineStore`."""
        if "_client" in vars(self):
            self._client.close()

    def _alone(self, view: Ref, change: Any) -> Any:
        """Do what `change` queues if the view's state is then still the one it looked at; else again."""
        import redis

        with self._answering(), self._client.pipeline() as pipe:
            for _ in range(_ATTEMPTS):
                try:
                    pipe.watch(_said(view), _generations(view))
                    result = change(pipe)
                    pipe.execute()
                except redis.WatchError:
                    continue
                return result
        raise Conflict(f"Too many change {view} in the online store at once.", mend="Try again.")

    @contextmanager
    def _answering(self) -> Iterator[None]:
        import redis

        try:
            yield
        except redis.RedisError as error:  # also what a server says that has no memory left, or takes no writes
            silent = isinstance(error, redis.ConnectionError | redis.TimeoutError)
            raise unavailable("Redis", error, silent=silent) from None


def _commands(asked: Sequence[Asked], seen: Sequence[str], named: Sequence[Sequence[Any]]) -> list[bytes]:
    """What a read says: views of the same entity share the text of their keys."""
    made, known = [_states_of(tuple(view for view, _ in asked))], dict[int, bytes]()
    for (view, _), generation, wanted in zip(asked, seen, named, strict=True):
        if wanted and generation:
            keys = known.get(id(wanted)) or known.setdefault(id(wanted), texts(wanted))
            made.append(_rows_of(view, generation, len(wanted)) + keys)
    return made


@lru_cache(1000)
def _states_of(views: tuple[Ref, ...]) -> bytes:
    return command(b"MGET", *map(_said, views))


@lru_cache(1000)
def _rows_of(view: Ref, generation: str, number: int) -> bytes:
    return begun(b"HMGET", _rows(view, generation), number)


def _said(view: Ref) -> str:
    return f"{_PREFIX}:state:{view}"


def _generations(view: Ref) -> str:
    return f"{_PREFIX}:generations:{view}"


def _rows(view: Ref, generation: str) -> str:
    return f"{_PREFIX}:rows:{view}:{generation}"


def _state(text: bytes | None) -> OnlineState | None:
    return None if text is None else decode(text, OnlineState)
