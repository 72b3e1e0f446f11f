"""Croissant metadata of a version: what its files are, what is in them, where it came from (http://mlcommons.org/croissant/1.1).

Written beside the files, so that any loader of Croissant reads the version from its folder and verifies every file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from modelwright.core.errors import Invalid
from modelwright.datasets.records import DatasetVersion

FORMAT: Final = "http://mlcommons.org/croissant/1.1"
RAI: Final = "http://mlcommons.org/croissant/RAI/1.0"
NAME: Final = "croissant.json"
TABLE: Final = "data.parquet"  # the rows of a table
_TERMS: Final = (
    "annotation arrayShape citeAs column containedIn equivalentProperty excludes extract field fileProperty fileObject "
    "fileSet format includes isArray isLiveDataset jsonPath key md5 parentField path readLines recordSet references regex "
    "repeated replace samplingRate sdVersion separator source subField transform unArchive value"
)
_TYPES: Final = (
    ("bool", "sc:Boolean"), ("int", "sc:Integer"), ("uint", "sc:Integer"), ("float", "sc:Float"), ("double", "sc:Float"),
    ("halffloat", "sc:Float"), ("decimal", "sc:Float"), ("timestamp", "sc:DateTime"), ("date", "sc:Date"),
    ("time", "sc:Time"),
)  # fmt: skip
_ARRAY: Final = re.compile(r"(?:fixed_size_|large_)?list<\w+: (?P<inner>\w+)(?: not null)?>(?:\[(?P<size>\d+)\])?")
_MEDIA: Final = {
    ".parquet": "application/x-parquet", ".csv": "text/csv", ".json": "application/json", ".txt": "text/plain",
    ".jsonl": "application/jsonlines", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg",
    ".zip": "application/zip", ".tar": "application/x-tar", ".gz": "application/gzip",
}  # fmt: skip


def write_croissant(
    version: DatasetVersion, folder: Path, write: Callable[[Path], None], *, about: Mapping[str, str]
) -> None:
    """Fill a new folder by `write`, and describe what is in it. `about` says license, url, creator, citation.

    `Invalid` names what Croissant requires and nobody said: a license, by its SPDX address or name.
    """
    said = {name: about.get(name) or version.tags.get(name, "") for name in ("license", "url", "creator", "citation")}
    if not said["license"]:
        raise Invalid(
            f"Croissant requires a license, and {version.ref} names none.",
            mend=f"Say --license https://spdx.org/licenses/CC-BY-4.0, or: mw tag {version.ref} license=...",
        )
    write(folder)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    columns = _columns(folder / TABLE) if version.is_table else {}
    document = describe(version, [_file(path, folder) for path in paths], columns, said)
    (folder / NAME).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def describe(
    version: DatasetVersion, files: Sequence[Mapping[str, Any]], columns: Mapping[str, str], about: Mapping[str, str]
) -> dict[str, Any]:
    """The document. Of a table `files` is one Parquet file, whose columns are the fields of its only record set."""
    personal = [column.name for column in version.columns if column.personal]
    document: dict[str, Any] = {
        "@context": _context(),
        "@type": "sc:Dataset",
        "conformsTo": [FORMAT, RAI] if personal else FORMAT,
        "name": version.ref.name.replace("/", "-"),
        "description": version.description or f"{version.ref} of {version.source or 'a workspace'}",
        "license": about["license"],
        "url": about["url"] or f"urn:blake3:{version.digest}",
        "creator": {"@type": "sc:Person", "name": about["creator"] or version.created_by},
        "datePublished": version.created_at.date().isoformat(),
        "version": f"{version.ref.version}.0.0",
        "isLiveDataset": False,
        "identifier": str(version.ref),
        "distribution": list(files),
    }
    if about["citation"]:
        document["citeAs"] = about["citation"]
    came_from = [str(ref) for ref in (version.parent, version.merged) if ref is not None]
    if came_from:
        document["prov:wasDerivedFrom"] = came_from
    if personal:
        document["rai:personalSensitiveInformation"] = f"Columns about people: {', '.join(personal)}"
    if version.is_table:
        document["recordSet"] = [_rows(version, str(files[0]["@id"]), columns)]
    return document


def _columns(file: Path) -> dict[str, str]:
    """The columns as they were written: what is masked may have another type than the version says."""
    from pyarrow.parquet import read_schema

    return {field.name: str(field.type) for field in read_schema(file)}


def _rows(version: DatasetVersion, file: str, columns: Mapping[str, str]) -> dict[str, Any]:
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"rows/{name}",
            "name": name,
            **_type(type_),
            "source": {"fileObject": {"@id": file}, "extract": {"column": name}},
        }
        for name, type_ in columns.items()
    ]
    found: dict[str, Any] = {"@type": "cr:RecordSet", "@id": "rows", "name": "rows", "field": fields}
    if version.key:
        found["key"] = [{"@id": f"rows/{name}"} for name in version.key]
    return found


def _type(name: str) -> dict[str, Any]:
    """What a field holds, of an Arrow type: values of a kind, or arrays of them."""
    if array := _ARRAY.fullmatch(name):
        return {**_type(array["inner"]), "isArray": True, "arrayShape": array["size"] or "-1"}
    return {"dataType": next((found for begin, found in _TYPES if name.startswith(begin)), "sc:Text")}


def _file(path: Path, folder: Path) -> dict[str, Any]:
    """A file with the SHA-256 that the standard asks for."""
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    name = path.relative_to(folder).as_posix()
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": _MEDIA.get(path.suffix.lower(), "application/octet-stream"),
        "sha256": digest,
    }


def _context() -> dict[str, Any]:
    own: dict[str, Any] = {term: f"cr:{term}" for term in _TERMS.split()}
    return {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "sc": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "dct": "http://purl.org/dc/terms/",
        "prov": "http://www.w3.org/ns/prov#",
        "conformsTo": "dct:conformsTo",
        "data": {"@id": "cr:data", "@type": "@json"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        **own,
    }
