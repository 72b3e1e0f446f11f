"""What a pickle would do is found out without doing it. The hostile ones are put together by opcode and are never read."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import pickle
import struct
import tarfile
import zipfile
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as some
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modelwright.models.opcodes import allowed, walk
from modelwright.models.scan import Scan, scan, scan_file

P4, STOP, NONE, MARK, REDUCE, BUILD, EMPTY, TUPLE = b"\x80\x04", b".", b"N", b"(", b"R", b"b", b")", b"t"


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value.encode())]) + value.encode()


def name(module: str, attribute: str) -> bytes:
    """An import as protocol 4 has it."""
    return text(module) + text(attribute) + b"\x93"


def old(module: str, attribute: str) -> bytes:
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def calls(function: bytes, *arguments: bytes) -> bytes:
    return function + MARK + b"".join(arguments) + TUPLE + REDUCE


FOREST = name("sklearn.ensemble._forest", "RandomForestClassifier")
MADE = FOREST + EMPTY + b"\x81"
HOSTILE: dict[str, bytes] = {
    "os.system": P4 + calls(name("os", "system"), text("id")) + STOP,
    "posix.system, protocol 0": calls(old("posix", "system"), b"Vid\n") + STOP,
    "nt.system": P4 + calls(name("nt", "system"), text("id")) + STOP,
    "subprocess.Popen": P4 + calls(name("subprocess", "Popen"), text("id")) + STOP,
    "builtins.eval": P4 + calls(name("builtins", "eval"), text("1")) + STOP,
    "builtins.exec": P4 + calls(name("builtins", "exec"), text("1")) + STOP,
    "__builtin__.eval, protocol 2": b"\x80\x02" + calls(old("__builtin__", "eval"), b"X\x01\x00\x00\x001") + STOP,
    "builtins.getattr": P4 + calls(name("builtins", "getattr"), FOREST, text("fit")) + STOP,
    "builtins.__import__": P4 + calls(name("builtins", "__import__"), text("os")) + STOP,
    "builtins.open": P4 + calls(name("builtins", "open"), text("/etc/passwd")) + STOP,
    "importlib.import_module": P4 + calls(name("importlib", "import_module"), text("os")) + STOP,
    "runpy.run_path": P4 + calls(name("runpy", "run_path"), text("x.py")) + STOP,
    "pickle.loads": P4 + calls(name("pickle", "loads"), b"C\x01.") + STOP,
    "marshal.loads": P4 + calls(name("marshal", "loads"), b"C\x01.") + STOP,
    "numpy.load, of a module that is known": P4 + calls(name("numpy", "load"), text("x.npy")) + STOP,
    "numpy.testing.runstring": P4 + calls(name("numpy.testing._private.utils", "runstring"), text("1"), NONE) + STOP,
    "numpy.f2py, of a package that is known": P4 + calls(name("numpy.f2py.crackfortran", "getlincoef"), text("1")) + STOP,
    "torch.load": P4 + calls(name("torch", "load"), text("x.pt")) + STOP,
    "joblib.load": P4 + calls(name("joblib", "load"), text("x")) + STOP,
    "pandas.read_pickle": P4 + calls(name("pandas", "read_pickle"), text("x")) + STOP,
    "pip.main": P4 + calls(name("pip", "main"), text("install")) + STOP,
    "pydoc.pipepager": P4 + calls(name("pydoc", "pipepager"), text("x"), text("id")) + STOP,
    "code.InteractiveInterpreter": P4 + calls(name("code", "InteractiveInterpreter")) + STOP,
    "ctypes.CDLL": P4 + calls(name("ctypes", "CDLL"), text("x.so")) + STOP,
    "socket.create_connection": P4 + calls(name("socket", "create_connection"), text("x")) + STOP,
    "functools.partial of a known class": P4 + calls(name("functools", "partial"), FOREST) + STOP,
    "operator.attrgetter": P4 + calls(name("operator", "attrgetter"), text("system")) + STOP,
    "a dotted way out of a known class": P4 + name("sklearn.pipeline", "Pipeline.fit.__globals__") + STOP,
    "a module whose name begins like a known one": P4 + name("sklearn.pipeline_", "Pipeline") + STOP,
    "INST": MARK + b"Vid\n" + b"ios\nsystem\n" + STOP,
    "OBJ": b"\x80\x02" + MARK + old("os", "system") + b"X\x02\x00\x00\x00ido" + STOP,
    "OBJ of a known class": b"\x80\x02" + MARK + old("collections", "OrderedDict") + b"o" + STOP,
    "EXT1": b"\x80\x02\x82\x01" + EMPTY + REDUCE + STOP,
    "EXT2": b"\x80\x02\x83\x01\x00" + STOP,
    "EXT4": b"\x80\x02\x84\x01\x00\x00\x00" + STOP,
    "PERSID": b"Pwhatever\n" + STOP,
    "BINPERSID": P4 + text("whatever") + b"Q" + STOP,
    "NEXT_BUFFER": b"\x80\x05\x97" + STOP,
    "BUILD on a known class itself": P4 + FOREST + b"}" + text("predict") + NONE + b"s" + BUILD + STOP,
    "BUILD on nothing that is known": P4 + b"}" + b"}" + BUILD + STOP,
    "SETITEM on something imported": P4 + FOREST + text("x") + NONE + b"s" + STOP,
    "a name that is computed": P4 + text("os") + calls(name("builtins", "str"), text("system")) + b"\x93" + STOP,
    "a call of what was called": P4 + calls(calls(name("collections", "OrderedDict")), text("x")) + STOP,
    "a name from the memo that is no name": P4 + text("os") + NONE + b"\x94" + b"h\x00" + b"\x93" + STOP,
    "a name by way of the memo": P4 + text("os") + b"\x940" + text("system") + b"\x940" + b"h\x00h\x01\x93" + STOP,
    "a memo that holds nothing": P4 + b"h\x07" + STOP,
    "Booster, called with a file": P4 + calls(name("xgboost.core", "Booster"), NONE, NONE, text("/etc/passwd")) + STOP,
    "LightGBM's Booster, called with a file": P4 + calls(name("lightgbm.basic", "Booster"), NONE, NONE, text("/x")) + STOP,
    "_reconstructor of an unknown class": b"\x80\x02"
    + calls(old("copy_reg", "_reconstructor"), old("os", "_wrap_close"), old("__builtin__", "object"), NONE)
    + STOP,
    "defaultdict of a function": P4 + calls(name("collections", "defaultdict"), name("os", "system")) + STOP,
    "a pickle after the end": P4 + NONE + STOP + P4 + calls(name("os", "system"), text("id")) + STOP,
    "bytes after the end": P4 + NONE + STOP + b"\x00" * 8,
    "no end": P4 + calls(name("collections", "OrderedDict")),
    "an end in the middle of an opcode": P4 + b"\x8c\x20short",
    "an unknown opcode": P4 + b"\xff" + STOP,
    "a stack that is empty": P4 + REDUCE + STOP,
    "a mark that is missing": P4 + NONE + TUPLE + STOP,
    "nothing": b"",
    "a length beyond the file": P4 + b"\x8e" + struct.pack("<Q", 2**62) + STOP,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_pickle_is_found_out(kind: str) -> None:
    found = scan_file("model.pkl", HOSTILE[kind])
    assert found.pickles == ["model.pkl"]
    assert found.findings, kind
    assert all(finding.why and finding.file == "model.pkl" for finding in found.findings)


def test_there_are_enough_of_them() -> None:
    assert len(HOSTILE) >= 50


def test_a_finding_says_opcode_name_and_position() -> None:
    (finding,) = walk(HOSTILE["os.system"], "model.pkl")
    assert (finding.opcode, finding.name, finding.position) == ("STACK_GLOBAL", "os.system", 14)
    assert str(finding) == "model.pkl, STACK_GLOBAL at 14 os.system: imports a name that is not on the list"


def models() -> dict[str, Any]:
    random = np.random.default_rng(0)
    X, y = random.normal(size=(80, 3)), random.integers(0, 2, 80)
    frame = pd.DataFrame(X, columns=list("abc"))
    return {
        "forest": RandomForestClassifier(3).fit(X, y),
        "boosting": GradientBoostingClassifier(n_estimators=2).fit(X, y),
        "histograms": HistGradientBoostingClassifier(max_iter=2).fit(frame, y),
        "pipeline": make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, y),
        "calibrated": CalibratedClassifierCV(LogisticRegression()).fit(X, y),
        "neighbours": KNeighborsClassifier().fit(X, y),
        "means": KMeans(2, n_init=1).fit(X),
        "ridge": Ridge().fit(X, y),
        "lightgbm": lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(frame, y),
        "xgboost": xgboost.XGBClassifier(n_estimators=2).fit(X, y),
        "array": np.arange(5),
        "array of objects": np.array(["a", None], dtype=object),
        "generator": np.random.default_rng(3),
        "values": {"a": [1, 2.5, None, True], "b": (b"x", {1, 2}), "c": np.float32(1)},
    }


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_what_honest_libraries_write_passes(protocol: int) -> None:
    for kind, model in models().items():
        found = scan_file("model.pkl", pickle.dumps(model, protocol=protocol))
        assert not found.findings, (kind, [str(finding) for finding in found.findings])


def test_a_name_passes_when_it_is_trusted_and_only_that_name() -> None:
    data = HOSTILE["functools.partial of a known class"]
    assert not walk(data, "x", trust=["functools.partial"])
    assert walk(data, "x", trust=["functools.reduce", "functools"])


def test_no_name_on_the_list_calls_or_imports_what_it_is_given() -> None:
    dangerous = ("eval", "exec", "compile", "open", "import", "getattr", "setattr", "load", "system", "partial", "reduce")
    assert not [each for each in allowed() if each.rpartition(".")[2].lower().startswith(dangerous)]


def zipped(**members: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return sink.getvalue()


def tarred(data: bytes) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        entry = tarfile.TarInfo("model.pkl")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return sink.getvalue()


def npy(values: Any) -> bytes:
    sink = io.BytesIO()
    np.save(sink, values, allow_pickle=True)
    return sink.getvalue()


BAD = HOSTILE["os.system"]
HIDDEN = {
    "in torch's zip": ("model.pt", zipped(**{"archive/data.pkl": BAD})),
    "in a zip of another name": ("notes.bin", zipped(**{"x": BAD})),
    "in an array of objects": ("x.npy", npy(np.array([1], dtype=object))[:-10] + BAD),
    "in an npz": ("x.npz", zipped(**{"a.npy": npy(np.array([1], dtype=object))[:-10] + BAD})),
    "in a zip in a zip": ("model.pt", zipped(inner=zipped(x=BAD))),
    "in gzip": ("model.pkl", gzip.compress(BAD)),
    "in bzip2": ("model.joblib", bz2.compress(BAD)),
    "in xz": ("model.joblib", lzma.compress(BAD)),
    "in tar": ("model.pkl", tarred(BAD)),
    "under the name of a text": ("README.txt", BAD),
    "under no name for it": ("weights", BAD),
    "old, under no name for it": ("weights", HOSTILE["posix.system, protocol 0"]),
    "in a broken zip": ("model.pt", zipped(x=BAD)[:-30]),
}


@pytest.mark.parametrize("kind", HIDDEN)
def test_a_hostile_pickle_is_found_where_it_hides(kind: str) -> None:
    path, data = HIDDEN[kind]
    assert scan({path: data}).findings, kind


def test_joblib_with_arrays_between_opcodes_is_not_let_through() -> None:
    import joblib

    sink = io.BytesIO()
    joblib.dump(models()["forest"], sink)
    assert scan_file("model.joblib", sink.getvalue()).findings


def test_plain_files_are_no_pickles() -> None:
    files = {
        "MLmodel": b"flavors:\n  sklearn: {}\n",
        "requirements.txt": b"scikit-learn==1.7\n",
        "model.lgb": b"tree\n",
        "data.npy": npy(np.arange(3)),
        "data.npz": zipped(**{"a.npy": npy(np.arange(3))}),
        "notes": b"some words about the model\n",
        "archive.csv.gz": gzip.compress(b"a,b"),
    }
    found = scan(files)
    assert (found.pickles, found.findings) == ([], [])


@given(some.binary(max_size=200), some.sampled_from([b"", P4, b"\x80\x02"]))
def test_no_bytes_make_the_walk_fail(data: bytes, start: bytes) -> None:
    for finding in walk(start + data, "x"):
        assert finding.why


@given(some.data())
def test_no_change_of_an_import_lets_it_through(data: Any) -> None:
    """Whatever single byte of `os.system` is changed: it is found, or it is no longer that."""
    at = data.draw(some.integers(0, len(BAD) - 1))
    changed = BAD[:at] + bytes([data.draw(some.integers(0, 255))]) + BAD[at + 1 :]
    if not walk(changed, "x"):
        assert not any(name in changed for name in (b"os", b"system"))


class Runs:
    """Read by pickle, it calls what is not on the list."""

    def __reduce__(self) -> Any:
        return print, ("ran",)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': 'object', 'fortran_order': False, 'shape': (1,), }",
        "{'fortran_order': False, 'shape': (1,), 'descr': '|O'}",
        "{'descr': [('a', 'object')], 'fortran_order': False, 'shape': (1,), }",
    ],
)
def test_an_array_of_objects_is_looked_into_however_its_header_is_spelled(
    header: str, capsys: pytest.CaptureFixture[str]
) -> None:
    written = header.ljust(117).encode() + b"\n"
    data = b"\x93NUMPY\x01\x00" + len(written).to_bytes(2, "little") + written + pickle.dumps(Runs(), protocol=4)
    with contextlib.suppress(ValueError, TypeError):
        np.load(io.BytesIO(data), allow_pickle=True)
    assert capsys.readouterr().out == "ran\n"  # which is why
    for name in ("x.npy", "x.txt", "x"):
        (finding,) = scan_file(name, data).findings
        assert finding.name == "builtins.print"


@pytest.mark.parametrize("data", [b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff{", b"\x93NUMPY\x01\x00\x01\x00{"])
def test_an_array_without_a_header_counts_against_its_file(data: bytes) -> None:
    (finding,) = scan_file("x.npy", data).findings
    assert "header cannot be read" in finding.why


def test_an_array_of_numbers_runs_nothing() -> None:
    for array in (np.zeros((3, 2)), np.array(["Ohio", "Oslo"]), np.zeros(2, dtype=[("O", "<i4")])):
        file = io.BytesIO()
        np.save(file, array)
        assert scan_file("x.npy", file.getvalue()) == Scan()
