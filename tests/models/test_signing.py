"""Signed versions: made and verified offline, verified again at every load, and exchanged with OpenSSF's model-signing."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from msgspec.structs import replace

from modelwright.core.errors import Corrupt, Invalid, ModelwrightError, NotFound, Refused
from modelwright.core.refs import Ref
from modelwright.models import ModelVersion, Stage
from modelwright.serving import Seal, load, private_key, public_key, public_pem, sign, verify, verify_folder
from modelwright.serving.seals import pem_of
from modelwright.workspace import Settings, Workspace, WorkspaceSettings, open_workspace

Log = Callable[..., ModelVersion]
FILES = {"a.onnx": "11" * 32, "b/c.json": "22" * 32, "b.txt": "33" * 32}
KEYS = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


def pem(key: Any) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    path.write_bytes(pem(KEYS["P-256"]()))
    return path


@pytest.mark.parametrize("kind", KEYS)
def test_what_was_signed_verifies_and_nothing_else_does(kind: str) -> None:
    seal = sign("delay@1", FILES, KEYS[kind]())
    verify(seal, FILES)
    for changed, named in (
        ({**FILES, "b.txt": "44" * 32}, "b.txt"),
        ({**FILES, "new.py": "44" * 32}, "new.py"),
        ({path: digest for path, digest in FILES.items() if path != "a.onnx"}, "a.onnx"),
    ):
        with pytest.raises(Corrupt, match=named) as refused:
            verify(seal, changed)
        assert refused.value.details["file"] == named
    other = sign("delay@1", FILES, KEYS[kind]())
    with pytest.raises(Corrupt, match="another key"):
        verify(Seal(bundle=seal.bundle, key=other.key), FILES)


def forged(seal: Seal, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> Seal:
    bundle = json.loads(seal.bundle)
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    change(bundle, statement)
    if isinstance(bundle.get("dsseEnvelope"), dict):
        bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    return replace(seal, bundle=json.dumps(bundle))


FORGERIES: dict[str, Callable[[dict[str, Any], dict[str, Any]], Any]] = {
    "another digest": lambda b, s: s["predicate"]["resources"][0].update(digest="00" * 32),
    "another name": lambda b, s: s["predicate"]["resources"][0].update(name="x"),
    "a file more": lambda b, s: s["predicate"]["resources"].append(
        {"name": "x", "algorithm": "sha256", "digest": "00" * 32}
    ),
    "no files": lambda b, s: s["predicate"].update(resources=[]),
    "another predicate": lambda b, s: s.update(predicateType="https://example.com"),
    "another type of payload": lambda b, s: b["dsseEnvelope"].update(payloadType="text/plain"),
    "another type of bundle": lambda b, s: b.update(mediaType="x"),
    "no signature": lambda b, s: b["dsseEnvelope"].update(signatures=[]),
    "an empty signature": lambda b, s: b["dsseEnvelope"].update(signatures=[{"sig": ""}]),
    "two signatures": lambda b, s: b["dsseEnvelope"]["signatures"].append(b["dsseEnvelope"]["signatures"][0]),
    "no envelope": lambda b, s: b.pop("dsseEnvelope"),
    "no key material": lambda b, s: b.pop("verificationMaterial"),
    "the hint of another key": lambda b, s: b["verificationMaterial"]["publicKey"].update(hint="00" * 32),
    "a list for an envelope": lambda b, s: b.update(dsseEnvelope=[]),
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_a_forged_bundle_does_not_verify(kind: str) -> None:
    seal = sign("delay@1", FILES, KEYS["P-256"]())
    with pytest.raises(ModelwrightError):
        verify(forged(seal, FORGERIES[kind]), FILES)


@pytest.mark.parametrize("bundle", ["", "[]", "{", "null", "[" * 100_000])
def test_what_is_no_bundle_is_said_to_be_none(bundle: str) -> None:
    seal = sign("delay@1", FILES, KEYS["P-256"]())
    with pytest.raises(Invalid):
        verify(replace(seal, bundle=bundle), FILES)


def test_a_key_of_another_kind_is_refused() -> None:
    with pytest.raises(Invalid, match="neither ECDSA"):
        private_key(pem(rsa.generate_private_key(65537, 2048)))
    with pytest.raises(Invalid, match="neither ECDSA"):
        private_key(pem(ec.generate_private_key(ec.SECP256K1())))
    with pytest.raises(Invalid, match="not a private key"):
        private_key(b"junk")


def test_a_signed_version_says_so_and_is_verified_when_it_is_loaded(
    workspace: Workspace, log: Log, key_file: Path, flights: Any
) -> None:
    version = log()
    with pytest.raises(Refused, match="is not signed"):
        workspace.signatures.verify(version.ref)
    signed = workspace.signatures.sign(version.ref, key_file, reason="release")
    assert signed.seal is not None and signed.digest == version.digest
    (found,) = workspace.record.evidence(version.ref, kind="signature")
    assert found.verdict == "warn" and "none of the trusted ones" in found.summary  # nobody said that this key counts
    with pytest.raises(Refused, match="not one that this workspace trusts"):
        workspace.signatures.verify(version.ref)
    assert workspace.signatures.verify(version.ref, key=signed.seal.key).ref == version.ref
    assert len(workspace.models.load(version.ref).scores(flights)) == len(flights)
    other = sign("delay@1", {"model.skops": "00" * 32}, KEYS["Ed25519"]())
    with pytest.raises(Corrupt, match=r"model\.skops"):
        workspace.signatures.put(version.ref, other)
    with pytest.raises(NotFound, match="cannot be read"):
        workspace.signatures.sign(version.ref, key_file.with_name("none.pem"))
    with pytest.raises(Refused, match="is not attached"):
        workspace.record.attach(version.ref, "signature", "pass")  # type: ignore[arg-type]


def test_a_load_names_the_file_that_was_not_signed(embedded: Workspace, log_here: Log) -> None:
    version = log_here()
    seal = sign("delay@1", dict.fromkeys(version.record.files, "00" * 32), KEYS["P-256"]())
    files = {path: embedded.caller.blobs.read(digest) for path, digest in version.record.files.items()}
    with pytest.raises(Corrupt, match=r"'model\.skops' is not the one that was signed"):
        load(replace(version.manifest, seal=seal), files)


def test_with_a_key_of_its_own_a_workspace_signs_what_is_registered(prepared: Path, estimator: Any, flights: Any) -> None:
    own, visitor = KEYS["P-256"](), KEYS["Ed25519"]()
    (prepared / "own.pem").write_bytes(pem(own))
    (prepared / "visitor.pem").write_bytes(pem(visitor))
    (prepared / "visitor.pub").write_text(pem_of(visitor.public_key()))
    settings = Settings(
        workspace=WorkspaceSettings(name="test"), models={"signing_key": "own.pem", "trusted_keys": ["visitor.pub"]}
    )
    with open_workspace(prepared, settings=settings) as workspace:
        version = workspace.models.log("delay", estimator, example=flights)
        assert version.seal is not None and version.seal.key == pem_of(own.public_key())
        assert workspace.signatures.verify(version.ref).ref == version.ref
        workspace.policy.adopt('name = "standard"\n[[tier.high.require]]\nid = "signed"\nevidence = "signature"\n')
        assert workspace.policy.gate(version.ref, "promote", environment="staging").passed
        again = workspace.signatures.sign(version.ref, prepared / "visitor.pem")
        assert again.seal is not None and workspace.signatures.verify(version.ref).seal == again.seal
        workspace.models.check_servable(again)
        stranger = sign("x", workspace.signatures.digests(version.ref)[1], KEYS["P-256"]())
        workspace.signatures.put(version.ref, stranger)
        assert not workspace.policy.gate(version.ref, "promote", environment="staging").passed
        workspace.models.delete(version.ref, reason="done")
        assert workspace.models.log("delay", estimator, example=flights).ref.version == 2


def test_who_only_asks_hears_of_a_key_what_the_gate_would_say(prepared: Path, estimator: Any, flights: Any) -> None:
    key = KEYS["P-256"]()
    (prepared / "key.pem").write_bytes(pem(key))
    (prepared / "key.pub").write_text(pem_of(key.public_key()))

    def opened(*trusted: str) -> Workspace:
        settings = Settings(workspace=WorkspaceSettings(name="test"), models={"trusted_keys": list(trusted)})
        return open_workspace(prepared, settings=settings)

    def said(workspace: Workspace, ref: Ref) -> tuple[bool, bool, str]:
        gate, standing = workspace.policy.gate(ref, "promote", environment="staging"), workspace.signatures.standing(ref)
        assert standing is not None
        return gate.passed, standing.counts, gate.requirements[0].reason

    with opened("key.pub") as workspace:
        ref = workspace.models.log("delay", estimator, example=flights).ref
        assert workspace.signatures.standing(ref) is None
        workspace.policy.adopt('name = "standard"\n[[tier.high.require]]\nid = "signed"\nevidence = "signature"\n')
        workspace.signatures.sign(ref, prepared / "key.pem")
        assert said(workspace, ref)[:2] == (True, True)
    for trusted, why in ((["gone.pub"], "gone.pub.* cannot be read"), ([], "none of the trusted ones")):
        with opened(*trusted) as workspace:
            passed, counts, reason = said(workspace, ref)
            assert (passed, counts) == (False, False) and re.search(why, reason)
            assert [each.verdict for each in workspace.record.evidence(ref, "signature")] == ["pass"]  # nothing is written
            assert len(workspace.models.load(ref).scores(flights)) == len(flights)  # it is what was signed
            with pytest.raises((Refused, NotFound), match=why):
                workspace.models.promote(ref, Stage.STAGING, reason="try")
    with opened() as workspace:
        workspace.signatures.put(ref, sign("x", workspace.signatures.digests(ref)[1], key))
    with opened("key.pub") as workspace:  # a key that has come to count since
        assert said(workspace, ref)[:2] == (True, True)
        assert workspace.record.evidence(ref, "signature")[0].verdict == "warn"
        assert workspace.models.promote(ref, Stage.STAGING, reason="go").stage is Stage.STAGING


def test_a_folder_is_verified_without_a_workspace(tmp_path: Path) -> None:
    files, key = written(tmp_path / "model"), KEYS["P-256"]()
    seal, bundle = sign("model", files, key), tmp_path / "model.sig"
    bundle.write_text(seal.bundle)

    assert verify_folder(tmp_path / "model", bundle, seal.key) == files
    (tmp_path / "model" / "model.sig").write_text(seal.bundle)  # beside the files it is none of them
    assert verify_folder(tmp_path / "model", tmp_path / "model" / "model.sig", seal.key) == files
    (tmp_path / "model" / "model.sig").unlink()
    with pytest.raises(Corrupt, match="another key"):
        verify_folder(tmp_path / "model", bundle, pem_of(KEYS["P-256"]().public_key()))
    (tmp_path / "model" / "b.txt").write_bytes(b"changed")
    with pytest.raises(Corrupt, match=r"b\.txt"):
        verify_folder(tmp_path / "model", bundle, seal.key)
    (tmp_path / "model" / "b.txt").unlink()
    with pytest.raises(Corrupt, match=r"b\.txt.*missing"):
        verify_folder(tmp_path / "model", bundle, seal.key)
    (tmp_path / "text").write_bytes(b"text")
    (tmp_path / "model" / "b.txt").symlink_to(tmp_path / "text")
    with pytest.raises(Corrupt, match="no plain file"):
        verify_folder(tmp_path / "model", bundle, seal.key)
    for folder, signature in ((tmp_path / "none", bundle), (tmp_path / "model", tmp_path / "none")):
        with pytest.raises(NotFound, match="none"):
            verify_folder(folder, signature, seal.key)


def test_a_key_that_is_no_key_for_this_is_told_with_what_mends_it() -> None:
    key = KEYS["P-256"]()
    with pytest.raises(Invalid, match="is a public key"):
        private_key(pem_of(key.public_key()).encode())
    with pytest.raises(Invalid, match="is a private key") as refused:
        public_key(pem(key).decode())
    assert "openssl pkey" in refused.value.mend
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"right"))
    assert private_key(locked, b"right").private_numbers() == key.private_numbers()
    for password in (b"wrong", None):
        with pytest.raises(Invalid, match="cannot be opened with its password"):
            private_key(locked, password)


# OpenSSF's model-signing, unmodified


def written(folder: Path) -> dict[str, str]:
    import hashlib

    folder.mkdir()
    (folder / "b").mkdir()
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "b" / "c.json").write_bytes(b"{}")
    (folder / "b.txt").write_bytes(b"text")
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.mark.parametrize("kind", ["P-256", "P-384", "P-521"])
def test_model_signing_verifies_what_was_signed_here(tmp_path: Path, kind: str) -> None:
    import model_signing

    files, key = written(tmp_path / "model"), KEYS[kind]()
    seal = sign("model", files, key)
    (tmp_path / "model.sig").write_text(seal.bundle)
    (tmp_path / "public.pem").write_text(seal.key)
    verifying = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "public.pem")
    verifying.verify(tmp_path / "model", tmp_path / "model.sig")
    (tmp_path / "model" / "b.txt").write_bytes(b"changed")
    with pytest.raises(ValueError, match=r"b\.txt"):
        verifying.verify(tmp_path / "model", tmp_path / "model.sig")


def test_what_model_signing_signed_verifies_here(tmp_path: Path) -> None:
    import model_signing

    files, key = written(tmp_path / "model"), KEYS["P-256"]()
    (tmp_path / "key.pem").write_bytes(pem(key))
    signing = model_signing.signing.Config().use_elliptic_key_signer(private_key=tmp_path / "key.pem")
    signing.sign(tmp_path / "model", tmp_path / "model.sig")
    seal = Seal(bundle=(tmp_path / "model.sig").read_text(), key=pem_of(key.public_key()))
    verify(seal, files)
    with pytest.raises(Corrupt, match=r"b/c\.json"):
        verify(seal, {**files, "b/c.json": "00" * 32})


def test_a_file_that_was_changed_since_it_was_signed_is_named_though_it_was_read_before(
    embedded: Workspace, estimator: Any, flights: Any, key_file: Path
) -> None:
    version = embedded.models.log("delay", estimator, example=flights)
    embedded.signatures.sign(version.ref, key_file)
    ((path, digest),) = version.record.files.items()
    assert embedded.home is not None
    (stored,) = [each for each in (embedded.home.folder / "objects").rglob("*") if each.name.endswith(digest[4:])]
    stored.chmod(0o644)
    stored.write_bytes(stored.read_bytes()[:-1] + b"x")
    with pytest.raises(Corrupt, match=re.escape(path)):
        embedded.signatures.verify(version.ref, key=public_pem(key_file.read_bytes()))
