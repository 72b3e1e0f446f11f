"""The service: versions of models on the record, and, at the caller's side, how they go in and come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from modelwright.core.errors import Conflict, Invalid, NotFound, Refused
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert
from modelwright.models.files import check_paths
from modelwright.models.records import CHAMPION, ModelRecord, ModelVersion, Stage, check_parity
from modelwright.models.versions import Versions
from modelwright.serving import Format
from modelwright.serving.records import MLMODEL
from modelwright.store import Transaction

if TYPE_CHECKING:
    import pyarrow as pa

    from modelwright.models.loaded import LoadedModel


class Models(Versions):
    """Model versions: what they are made of, how far they have come, and which of them is the champion.

    The operations are in `Versions`; here is what runs where the caller is.
    """

    def log(
        self,
        name: str,
        estimator: Any,
        *,
        example: Any = None,
        run: Ref | str | None = None,
        datasets: Sequence[Ref | str] = (),
        features: Sequence[Ref | str] = (),
        format: str | None = None,
        allow_unsafe: bool = False,
        metadata: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        nullable: Sequence[str] = (),
        categories: Mapping[str, Sequence[str]] | None = None,
        tolerance: float | None = None,
        licence: str = "",
        authors: Sequence[str] = (),
        description: str = "",
        tags: Mapping[str, str] | None = None,
        reason: str = "",
    ) -> ModelVersion:
        """Register a fitted model as the next version: an estimator of scikit-learn, LightGBM or XGBoost, or tensors.

        `example` is a table of inputs (Arrow, a data frame, or columns by name): the signature is read off it, and the
        stored model must repeat the estimator's predictions on all of its rows, and on as many sampled like them, within
        `tolerance`, or it is `Refused`. Its first five rows are kept, without the values of what is about people in
        `datasets` and `features`, or among the inputs of `run`. `nullable` and `categories` say what the example may
        not show. `params` stand in for the estimator's own. Without a `format` the library's own is taken. Named tensors,
        or a network of torch, become safetensors with `metadata`, and need no example. A pickle is made only for
        `format="pickle"` with `allow_unsafe`: it runs code when it is read, and no server ever reads it.
        """
        from modelwright.models.package import build

        built = build(
            estimator,
            example,
            format=None if format is None else _format(format),
            nullable=nullable,
            categories=categories,
            tolerance=tolerance,
            allow_unsafe=allow_unsafe,
            metadata=metadata or {},
            hidden=self._people(convert([*datasets, *features, *([run] if run else [])], list[Ref])),
        )
        if built.parity is not None:
            check_parity(Ref(Kind.MODEL, name), built.parity)
        record = ModelRecord(
            format=built.format,
            files={path: self.blobs.put(content) for path, content in built.files.items()},
            signature=built.signature,
            size=sum(map(len, built.files.values())),
            framework=built.framework,
            example=None if built.example is None else self.blobs.put(built.example),
            run=convert(run, Ref | None),
            datasets=convert(list(datasets), list[Ref]),
            features=convert(list(features), list[Ref]),
            params=dict(built.params if params is None else params),
            licence=licence,
            authors=list(authors),
        )
        version = self.register(
            name, record=record, parity=built.parity, description=description, tags=dict(tags or {}), reason=reason
        )
        return self._signatures.sign_as_configured(version)

    def log_folder(
        self,
        name: str,
        files: Mapping[str, str],
        *,
        source: str = "",
        run: Ref | str | None = None,
        datasets: Sequence[Ref | str] = (),
        features: Sequence[Ref | str] = (),
        params: Mapping[str, Any] | None = None,
        logged_as: str = "",
        link: str = "",
        authors: Sequence[str] = (),
        description: str = "",
        tags: Mapping[str, str] | None = None,
        reason: str = "",
    ) -> ModelVersion:
        """Register an MLflow folder as the next version of a model, kept as it is.

        `files` are the digests of its files, already stored, by their paths in the folder; one is `MLmodel`, from which
        flavours and signature are read. Without files, only `source` is noted: nothing of such a version is here, and it
        cannot be loaded. The same folder again is a further version, as MLflow counts.
        """
        from modelwright.models.folders import record_of

        content = self.blobs.read(files[MLMODEL]) if MLMODEL in files else None
        record = record_of(files, content, sizes={digest: self.blobs.size(digest) for digest in set(files.values())})
        record = replace(
            record,
            source=source,
            run=convert(run, Ref | None),
            datasets=convert(list(datasets), list[Ref]),
            features=convert(list(features), list[Ref]),
            params=dict(params or {}),
            logged_as=logged_as,
            link=link,
            authors=list(authors),
        )
        self._scanned(record)  # before the database is locked; where this is no server, the server looks again
        version = self.register(
            name, record=record, description=description, tags=dict(tags or {}), anew=True, reason=reason
        )
        return self._signatures.sign_as_configured(version)

    def load(
        self,
        ref: Ref | str,
        *,
        retired: bool = False,
        allow_unsafe: bool = False,
        flavour: str | None = None,
        trust: Sequence[str] = (),
    ) -> LoadedModel:
        """The version as something that predicts; every file is verified against its digest first.

        A retired version is `Refused`, with its successor in the message, unless `retired` says that it is wanted for the
        record, to repeat what it once answered. Safetensors come as arrays in `content`. What runs code when it is read is
        read in this process alone, and only with `allow_unsafe`: a pickle whose scan finds nothing beyond the names in
        `trust`, or an MLflow folder in the `flavour` that is named, by MLflow itself.
        """
        from modelwright.models.loaded import LoadedModel
        from modelwright.serving import check_seal, load, telling_file

        version = self.show(convert(ref, Ref))
        if version.stage is Stage.RETIRED and not retired:
            instead = f"Load its successor: {version.successor}." if version.successor else "It has no successor."
            raise Refused(f"{version.ref} is retired.", mend=instead, details={"successor": str(version.successor or "")})
        format = version.record.format
        if format is Format.EXTERNAL:
            raise Refused(
                f"{version.ref} is only an address, {version.record.source}: nothing of it is stored here.",
                mend="Load it with the program that registered it.",
            )
        unsafe = format is Format.PICKLE or flavour is not None
        if unsafe and not allow_unsafe:
            raise Refused(
                f"Reading {version.ref} may run whatever is written in it.",
                mend="If you trust whoever made it, pass allow_unsafe=True.",
            )
        files = {}
        for path, digest in version.record.files.items():
            with telling_file(path, str(version.ref)):
                files[path] = self.blobs.read(digest)
        check_seal(version.manifest, files)
        if unsafe:
            from modelwright.models import unpickling

            if flavour is not None:
                return LoadedModel(version, None, content=unpickling.load_folder(version, files, flavour, trust=trust))
            found = unpickling.load(version, files, trust=trust)
            return LoadedModel(version, found if version.record.signature.outputs else None, content=found.model)
        if format is Format.SAFETENSORS:
            from modelwright.models import tensors

            arrays, metadata = tensors.read(files[tensors.PATH])
            return LoadedModel(version, None, content=arrays, metadata=metadata)
        return LoadedModel(version, load(version.manifest, files))

    def fetch(self, ref: Ref | str, folder: Path | str) -> ModelVersion:
        """Write the files of a version into a new or an empty folder, and nothing besides; each is verified first.

        Nothing of them is read or run. `Refused` where a version is only an address, `Conflict` where the folder holds
        something.
        """
        version, folder = self.show(convert(ref, Ref)), Path(folder)
        if not version.record.files:
            where = version.record.source or "its own record"
            raise Refused(
                f"{version.ref} has no files here: it is only {where}.",
                mend="Fetch it with the program that registered it.",
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held = next(folder.iterdir(), None)
        except OSError as error:
            raise Conflict(f"Nothing can be written into {folder}: {error.strerror}.", mend="Name a new folder.") from None
        if held is not None:
            raise Conflict(f"{folder} holds other things ({held.name}).", mend="Name a new or an empty folder.")
        check_paths(version.record.files)
        for path, digest in version.record.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            self.blobs.fetch(digest, target)
        return version

    def check_servable(self, version: ModelVersion) -> None:
        """`Refused`, with the reason, for a version that no server would load: before it is put live, not after."""
        from modelwright.serving import check_servable

        check_servable(version.manifest)
        self._signatures.check(version)
        record = version.record
        if record.format is Format.MLFLOW and not record.entry:
            raise Refused(
                f"{version.ref} cannot be served: its flavours ({', '.join(record.flavours)}) hold code or pickles, "
                f"which no server runs.",
                mend="Log the model as skops, ONNX, LightGBM or XGBoost.",
            )
        if not (record.signature.inputs and record.signature.outputs):
            raise Refused(
                f"{version.ref} cannot be served: it has no signature of columns, so no request could be checked.",
                mend="Log it with a signature, or with an example of its input.",
            )

    def check_stored(self, ref: Ref | str) -> ModelVersion:
        """Read every file of a version as it is stored: `Corrupt` or `NotFound` names the one that is not as it was.

        Of a signed version, the signature is verified, too. Nothing of it is loaded.
        """
        from modelwright.serving import telling_file

        version = self.show(convert(ref, Ref))
        for path, digest in version.record.files.items():
            with telling_file(path, str(version.ref)):
                for _ in self.blobs.stream(digest):
                    pass
        self._signatures.check(version, read=False)
        return version

    def renew_signature(self, tx: Transaction, version: ModelVersion) -> None:
        """Have the record say whether the key of a version's signature counts now, before a gate asks."""
        self._signatures.renew(tx, version)

    def champion(self, name: str) -> ModelVersion | None:
        """The version of a model that is live in production, or None while there is none."""
        try:
            return self.show(Ref(Kind.MODEL, name, CHAMPION))
        except NotFound:
            return None

    def example(self, ref: Ref | str) -> pa.Table:
        """The few input rows that are kept with a version; `NotFound` where there are none."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        version = self.show(convert(ref, Ref))
        if version.record.example is None:
            raise NotFound(f"{version.ref} was registered without an example.")
        return pq.read_table(pa.BufferReader(self.blobs.read(version.record.example)))


def _format(text: str) -> Format:
    try:
        return Format(text)
    except ValueError:
        raise Invalid(f"{text!r} is not a model format.", mend=f"The formats are {', '.join(Format)}.") from None
