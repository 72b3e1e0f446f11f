"""Which files of a package are pickles, or hold some, and what speaks against them."""

from __future__ import annotations

import ast
import io
import zipfile
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

import msgspec

from modelwright.models.opcodes import Finding, looks_like_one, walk

PICKLED = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".bin", ".sav", ".dat", ".p", ".model"}  # by their names
PLAIN = {".lgb", ".ubj", ".json", ".onnx", ".safetensors", ".yaml", ".yml", ".txt", ".md", ".csv", ".parquet", ".toml"}
_ARCHIVES = {b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_LARGEST = 1 << 30  # bytes of a member of an archive that are still unpacked to be looked at
_MOST = 100_000  # members of an archive
_SWELLS = 20  # times its size, beyond _LARGEST, that an archive may unpack to
_NPY = b"\x93NUMPY"
_LONGEST_HEADER = 1 << 16  # bytes up to where the values of an array begin


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and what was found."""

    pickles: list[str] = []  # files that are pickles or hold some
    findings: list[Finding] = []


def scan(files: Mapping[str, bytes], *, named: Collection[str] = (), trust: Collection[str] = ()) -> Scan:
    """Look at every file. `named` are those that something says to load, whatever they are called."""
    scans = [scan_file(path, data, named=path in named, trust=trust) for path, data in files.items()]
    return joined(scans)


def joined(scans: Collection[Scan]) -> Scan:
    """Several scans as one."""
    return Scan(
        pickles=[path for each in scans for path in each.pickles],
        findings=[finding for each in scans for finding in each.findings],
    )


def scan_file(path: str, data: bytes, *, named: bool = False, trust: Collection[str] = ()) -> Scan:
    """Look at one file, and into it where it is an archive."""
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in PLAIN and not named and not looks_like_one(data[:2]) and not data.startswith(_NPY):
        return Scan()
    archive = _archive(data)
    if archive == "zip":
        return _zip(path, data, trust)
    suspect = named or suffix in PICKLED
    if archive:
        return _opaque(path, f"is packed with {archive}, so nobody can see what it would do") if suspect else Scan()
    if data.startswith(_NPY):
        return _array(path, data, trust)
    if suspect or looks_like_one(data):
        return Scan(pickles=[path], findings=walk(data, path, trust=trust))
    return Scan()


def _zip(path: str, data: bytes, trust: Collection[str]) -> Scan:
    """Into an archive (torch's and NumPy's are zips), and not into one within it."""
    found: list[Scan] = []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > _MOST or sum(each.file_size for each in members) > max(_LARGEST, _SWELLS * len(data)):
                return _opaque(path, "is an archive of more than anybody can look at")
            for member in members:
                name = f"{path}!{member.filename}"
                if member.file_size > _LARGEST or member.flag_bits & 1:
                    found.append(_opaque(name, "is encrypted or too large to be looked at"))
                    continue
                content = archive.read(member)
                if _archive(content):
                    found.append(_opaque(name, "is an archive within an archive"))
                    continue
                found.append(scan_file(name, content, trust=trust))
    except Exception as error:  # noqa: BLE001 - whatever a broken archive makes the reader raise
        found.append(_opaque(path, f"is an archive that cannot be read ({type(error).__name__})"))
    return joined(found)


def _array(path: str, data: bytes, trust: Collection[str]) -> Scan:
    """An array of objects is a header, and then a pickle. The header is read as NumPy reads it: it has many spellings."""
    from numpy.lib.format import descr_to_dtype

    at = 12 if data[6:7] >= b"\x02" else 10
    start = at + int.from_bytes(data[8:at], "little")
    try:
        if not at < start <= min(len(data), _LONGEST_HEADER):
            raise ValueError
        objects = descr_to_dtype(ast.literal_eval(data[at:start].decode())["descr"]).hasobject
    except Exception:  # noqa: BLE001 - whatever a header that is none makes them raise
        return _opaque(path, "is an array whose header cannot be read")
    return Scan(pickles=[path], findings=walk(data[start:], path, trust=trust)) if objects else Scan()


def _opaque(path: str, why: str) -> Scan:
    return Scan(pickles=[path], findings=[Finding(file=path, position=0, opcode="", why=why)])


def _archive(data: bytes) -> str:
    if data[257:262] == b"ustar":
        return "tar"
    return next((kind for magic, kind in _ARCHIVES.items() if data.startswith(magic)), "")
