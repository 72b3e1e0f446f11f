"""What a pickle would do if it were read, found out without reading it.

A pickle is a program for a small stack machine. This walks it symbolically: every name that it would import must stand on
a list of exact names, only those may be called or built, and whatever is not understood (an opcode that fetches objects by
number, a stream that ends early or goes on after its end) counts against it. A list of modules would not do: NumPy has
a name that reads further pickles.
"""

from __future__ import annotations

import functools
import io
import pickletools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any

import msgspec

MOST_OPCODES = 20_000_000
_SAME = {  # names by which older pickles call the same things
    "__builtin__.": "builtins.",
    "copy_reg.": "copyreg.",
    "numpy.core.": "numpy._core.",
}
_RECONSTRUCTOR = "copyreg._reconstructor"
_ONLY_MADE = {"lightgbm.basic.Booster", "xgboost.core.Booster"}  # called, they open the file that they are given
_REFUSED = {
    "INST": "makes an instance of whatever it names",
    "OBJ": "makes an instance of whatever lies on the stack",
    "EXT1": "imports by number, from a registry that this file does not hold",
    "EXT2": "imports by number, from a registry that this file does not hold",
    "EXT4": "imports by number, from a registry that this file does not hold",
    "PERSID": "asks its reader for an object",
    "BINPERSID": "asks its reader for an object",
    "NEXT_BUFFER": "takes its data from outside of the file",
}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that speaks against a file."""

    file: str
    position: int  # bytes from the beginning of the pickle
    opcode: str
    name: str = ""  # what it would import, call or build
    why: str

    def __str__(self) -> str:
        return f"{self.file}, {self.opcode} at {self.position}{f' {self.name}' if self.name else ''}: {self.why}"


@dataclass(frozen=True)
class _Global:
    name: str


@dataclass(frozen=True)
class _Made:
    of: str


@dataclass(frozen=True)
class _Tuple:
    items: tuple[Any, ...]


class _Mark:
    """The mark on the stack."""


_UNKNOWN = object()


@functools.cache
def allowed() -> frozenset[str]:
    """The exact names that a pickle may use."""
    text = resources.files("modelwright.models").joinpath("allowed.txt").read_text("utf-8")
    return frozenset(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def walk(data: bytes, file: str, *, trust: Collection[str] = ()) -> list[Finding]:
    """Everything that speaks against a pickle; nothing, if it only builds what is on the list (or named in `trust`)."""
    walker = _Walker(file, allowed() | set(trust))
    stream = io.BytesIO(data)
    position, name = 0, "PROTO"
    try:
        for count, (opcode, argument, at) in enumerate(pickletools.genops(stream)):
            position, name = at or 0, opcode.name
            if count > MOST_OPCODES:
                return [*walker.findings, walker.about(position, name, "", f"has more than {MOST_OPCODES:,} opcodes")]
            walker.step(name, argument, position)
    except _Underflow:
        walker.say(position, name, "", "takes from an empty stack")
        return walker.findings
    except Exception as error:  # noqa: BLE001 - whatever broken bytes make the parser raise
        walker.say(position, name, "", f"cannot be read from here on ({type(error).__name__})")
        return walker.findings
    if stream.tell() != len(data):
        walker.say(stream.tell(), "STOP", "", f"goes on for {len(data) - stream.tell()} bytes after its end")
    return walker.findings


class _Underflow(Exception):
    """The program takes more from its stack than is there."""


class _Walker:
    def __init__(self, file: str, allowed: Collection[str]) -> None:
        self.findings: list[Finding] = []
        self._file = file
        self._allowed = allowed
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def about(self, position: int, opcode: str, name: str, why: str) -> Finding:
        return Finding(file=self._file, position=position, opcode=opcode, name=name[:200], why=why)

    def say(self, position: int, opcode: str, name: str, why: str) -> None:
        self.findings.append(self.about(position, opcode, name, why))

    def step(self, opcode: str, argument: Any, position: int) -> None:
        if opcode in _REFUSED:
            self.say(position, opcode, str(argument or ""), _REFUSED[opcode])
        match opcode:
            case "GLOBAL":
                self._import(opcode, ".".join(str(argument).split(" ", 1)), position)
            case "STACK_GLOBAL":
                name, module = self._pop(), self._pop()
                if isinstance(name, str) and isinstance(module, str):
                    self._import(opcode, f"{module}.{name}", position)
                else:
                    self.say(position, opcode, "", "imports a name that is not written in the file")
                    self._stack.append(_UNKNOWN)
            case "REDUCE" | "NEWOBJ":
                arguments, made = self._pop(), self._pop()
                self._call(opcode, made, arguments, position)
            case "NEWOBJ_EX":
                self._pop()
                arguments, made = self._pop(), self._pop()
                self._call(opcode, made, arguments, position)
            case "BUILD":
                self._pop()
                target = self._stack[-1] if self._stack else None
                if not isinstance(target, _Made) or target.of not in self._allowed:
                    what = target.name if isinstance(target, _Global) else getattr(target, "of", "")
                    self.say(position, opcode, what, "sets the state of something that is not an instance of a known class")
            case "INST":
                self._to_mark()
                self._stack.append(_UNKNOWN)
            case "OBJ":
                self._to_mark()
                self._stack.append(_UNKNOWN)
            case _:
                self._plain(opcode, argument, position)

    def _import(self, opcode: str, name: str, position: int) -> None:
        for old, new in _SAME.items():
            if name.startswith(old):
                name = new + name[len(old) :]
        if name not in self._allowed:
            self.say(position, opcode, name, "imports a name that is not on the list")
        self._stack.append(_Global(name))

    def _call(self, opcode: str, made: Any, arguments: Any, position: int) -> None:
        if not isinstance(made, _Global):
            self.say(position, opcode, getattr(made, "of", ""), "calls something that it did not import by name")
            self._stack.append(_UNKNOWN)
            return
        of = made.name
        if opcode == "REDUCE" and of in _ONLY_MADE:
            self.say(position, opcode, of, "calls what may only be made and filled")
        if of == _RECONSTRUCTOR and isinstance(arguments, _Tuple) and arguments.items:
            first = arguments.items[0]
            of = first.name if isinstance(first, _Global) else ""
        self._stack.append(_Made(of))

    def _plain(self, opcode: str, argument: Any, position: int) -> None:
        """What neither imports nor calls: values, containers, the memo."""
        match opcode:
            case "MARK":
                self._stack.append(_Mark())
            case "POP":
                self._pop()
            case "POP_MARK":
                self._to_mark()
            case "DUP":
                self._stack.append(self._top())
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self._memo[int(argument)] = self._top()
            case "MEMOIZE":
                self._memo[len(self._memo)] = self._top()
            case "GET" | "BINGET" | "LONG_BINGET":
                if int(argument) not in self._memo:
                    self.say(position, opcode, "", "recalls what was never remembered")
                self._stack.append(self._memo.get(int(argument), _UNKNOWN))
            case "TUPLE":
                self._stack.append(_Tuple(tuple(self._to_mark())))
            case "EMPTY_TUPLE":
                self._stack.append(_Tuple(()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                taken = [self._pop() for _ in range(int(opcode[-1]))]
                self._stack.append(_Tuple(tuple(reversed(taken))))
            case "LIST" | "DICT" | "FROZENSET":
                self._to_mark()
                self._stack.append(_UNKNOWN)
            case "APPENDS" | "SETITEMS" | "ADDITEMS":
                self._to_mark()
                self._container(opcode, position)
            case "APPEND":
                self._pop()
                self._container(opcode, position)
            case "SETITEM":
                self._pop()
                self._pop()
                self._container(opcode, position)
            case "PERSID" | "NEXT_BUFFER" | "EXT1" | "EXT2" | "EXT4":
                self._stack.append(_UNKNOWN)
            case "BINPERSID" | "READONLY_BUFFER":
                self._pop()
                self._stack.append(_UNKNOWN)
            case "PROTO" | "FRAME" | "STOP":
                if opcode == "STOP":
                    self._pop()
            case _:  # the rest puts one plain value on the stack
                self._stack.append(argument if isinstance(argument, str) else _UNKNOWN)

    def _container(self, opcode: str, position: int) -> None:
        """What is filled must be a container of the file's own, or an instance; not something that was imported."""
        target = self._top()
        if isinstance(target, _Global):
            self.say(position, opcode, target.name, "changes something that it imported")

    def _pop(self) -> Any:
        if not self._stack or isinstance(self._stack[-1], _Mark):
            raise _Underflow
        return self._stack.pop()

    def _top(self) -> Any:
        if not self._stack:
            raise _Underflow
        return self._stack[-1]

    def _to_mark(self) -> list[Any]:
        taken: list[Any] = []
        while self._stack:
            value = self._stack.pop()
            if isinstance(value, _Mark):
                return taken[::-1]
            taken.append(value)
        raise _Underflow


def looks_like_one(data: bytes) -> bool:
    """Whether bytes begin as pickles since protocol 2 do, or, being older, are one as a whole and import something."""
    if len(data) > 1 and data[0] == 0x80 and data[1] <= 5:
        return True
    return any(name in ("GLOBAL", "INST", "REDUCE") for name in _names(data))


def _names(data: bytes) -> Iterator[str]:
    """The opcodes of a whole program; nothing if it is none."""
    try:
        yield from [opcode.name for opcode, _, _ in pickletools.genops(data[: 1 << 20])]
    except Exception:  # noqa: BLE001 - it is no pickle
        return
