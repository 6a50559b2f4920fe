"""LiteRT.js: its archives are checked, and what is missing is said in one line."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from mobile_eval.errors import HRNetError
from mobile_eval.web import litert_js
from mobile_eval.web.litert_js import CORE, IMPORT, PACKAGES, VERSION, NpmPackage, read_litert_js


def write_archive(path: Path, package: NpmPackage) -> NpmPackage:
    """Write an archive with small files, and return the package with its checksum."""
    contents = {member: f"// {member}\n".encode() for member in package.files.values()}
    if package is CORE:
        contents["dist/index.js"] = b"import { createWasmLib } " + IMPORT + b";\n"
        contents["package.json"] = json.dumps({"version": VERSION}).encode()
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    return dataclasses.replace(package, integrity=f"sha512-{digest}")


@pytest.fixture
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that has archives whose checksums are expected."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr(litert_js, "PACKAGES", tuple(write_archive(folder / package.archive, package) for package in PACKAGES))
    return folder


def test_files_of_checked_archives(archives: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # npm is not needed
    files = read_litert_js(cache=archives)
    assert set(files) == {name for package in PACKAGES for name in package.files}
    assert b'from "./wasm-utils.js"' in files["index.js"]
    assert files["index.js"].startswith(b"// Modified by hrnet_tf")
    assert files["wasm/litert_wasm_internal.wasm"] == b"// wasm/litert_wasm_internal.wasm\n"
    assert read_litert_js(archives) == files


def test_damaged_archive(archives: Path) -> None:
    (archives / CORE.archive).write_bytes(b"damaged")
    with pytest.raises(HRNetError, match=rf"{CORE.archive} is not @litertjs/core {VERSION}"):
        read_litert_js(cache=archives)


def test_installed_packages(litert_folder: Path) -> None:
    assert b"./wasm-utils.js" in read_litert_js(litert_folder)["index.js"]
    (litert_folder / "node_modules" / CORE.name / "package.json").write_text('{"version": "1.0.0"}')
    with pytest.raises(HRNetError, match=rf"`litert_js` has @litertjs/core 1.0.0, expected {VERSION}"):
        read_litert_js(litert_folder)


def test_missing_npm_and_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HRNetError, match=r"`litert_js`: .* has neither litertjs-core"):
        read_litert_js(tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(HRNetError, match=r"npm, which fetches LiteRT.js, is not installed"):
        read_litert_js(cache=tmp_path / "cache")


def test_npm_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'npm error network' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")
    with pytest.raises(HRNetError, match=r"npm cannot fetch @litertjs/core .*: npm error network"):
        read_litert_js(cache=tmp_path / "cache")


def test_cache_is_that_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert litert_js.default_cache() == tmp_path / "hrnet_tf" / "litert-js"
