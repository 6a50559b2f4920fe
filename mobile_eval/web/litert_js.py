"""LiteRT.js, which runs `.tflite` files in the browser: fetched by npm, checked, and kept for the next time.

It is two packages of npm. Their versions and checksums are pinned here, so that a page is the same wherever it is made.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder, parse_json, read_bytes, write_bytes

NAME = "LiteRT.js"
VERSION = "2.5.3"
NPM = "npm"
FETCH_SECONDS = 300
CACHE_VARIABLE = "XDG_CACHE_HOME"
IMPORT, LOCAL_IMPORT = b'from "@litertjs/wasm-utils"', b'from "./wasm-utils.js"'
NOTICE = b"// Modified by hrnet_tf: the package @litertjs/wasm-utils is imported from the file beside this one.\n"
# With and without relaxed SIMD, and for WebGPU; the build with threads needs more of the server.
BUILDS = ("litert_wasm_internal", "litert_wasm_compat_internal", "litert_wasm_jspi_internal")


@dataclass(frozen=True)
class NpmPackage:
    """A package of npm.

    Attributes:
        name: Its name.
        integrity: Its checksum, as package-lock.json has it: "sha512-" and base64.
        files: Its files that a page needs, by their names in the folder of the page.
    """

    name: str
    integrity: str
    files: Mapping[str, str]

    @property
    def archive(self) -> str:
        """Name of its archive, as `npm pack` writes it."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{VERSION}.tgz"


CORE = NpmPackage(
    "@litertjs/core",
    "sha512-PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
    {
        "index.js": "dist/index.js",
        "package.json": "package.json",
        "README.md": "README.md",
        **{f"wasm/{build}.{suffix}": f"wasm/{build}.{suffix}" for build in BUILDS for suffix in ("js", "wasm")},
    },
)
WASM_UTILS = NpmPackage(
    "@litertjs/wasm-utils",
    "sha512-4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
    {"wasm-utils.js": "dist/index.js"},
)
PACKAGES = (CORE, WASM_UTILS)
INSTALL = f"npm install {CORE.name}@{VERSION}"


def default_cache() -> Path:
    """Return the folder where archives are kept: `hrnet_tf/litert-js` in the user's cache."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache") / "hrnet_tf" / "litert-js"


def read_litert_js(folder: Path | None = None, cache: Path | None = None) -> dict[str, bytes]:
    """Read the files of LiteRT.js that a page needs.

    Args:
        folder: A folder with the archives that `npm pack` writes, or one where `npm install @litertjs/core` ran. None: npm
            fetches the archives, unless they are in the cache.
        cache: Folder of the cache; None for `default_cache()`.

    Returns:
        The content of each file by its path in the folder `litert-js` of a page. "index.js" imports its neighbor by its path, and
        says so.

    Raises:
        HRNetError: npm is missing or fails, a file is missing, or an archive has another checksum.

    Example:
        >>> sorted(read_litert_js(Path("node_modules/..")))[:2]  # doctest: +SKIP
        ['README.md', 'index.js']
    """
    files: dict[str, bytes] = {}
    for package in PACKAGES:
        installed = folder / "node_modules" / package.name if folder else None
        if installed and installed.is_dir():
            files |= {name: read_bytes(installed / path, NAME) for name, path in package.files.items()}
        else:
            files |= _unpacked(package, _archive(package, folder, cache or default_cache()))
    version = parse_json(files["package.json"], f"package.json of {CORE.name}").get("version")
    if version != VERSION or IMPORT not in files["index.js"]:
        raise HRNetError(f"`litert_js` has {CORE.name} {version}, expected {VERSION}: run `{INSTALL}` in another folder")
    return {**files, "index.js": NOTICE + files["index.js"].replace(IMPORT, LOCAL_IMPORT)}


def _archive(package: NpmPackage, folder: Path | None, cache: Path) -> Path:
    """The checked archive of a package, in the user's folder or in the cache, to which npm fetches it first."""
    path = (folder or cache) / package.archive
    if not path.is_file():
        if folder:
            raise HRNetError(
                f"`litert_js`: {folder} has neither {package.archive} nor node_modules/{package.name}; run `{INSTALL}` in it"
            )
        _fetch(package, cache)
    digest = base64.b64encode(hashlib.sha512(read_bytes(path, NAME)).digest()).decode()
    if f"sha512-{digest}" != package.integrity:
        raise HRNetError(f"{path} is not {package.name} {VERSION}: its checksum is sha512-{digest}; remove it")
    return path


def _fetch(package: NpmPackage, cache: Path) -> None:
    """Let npm write the archive of a package into the cache."""
    program = shutil.which(NPM)
    if program is None:
        raise HRNetError(
            f"npm, which fetches {NAME}, is not installed: install Node.js, or give `litert_js`, a folder where `{INSTALL}` ran"
        )
    check_output_folder(cache)
    command = [program, "pack", "--silent", "--pack-destination", str(cache), f"{package.name}@{VERSION}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise HRNetError(f"npm has not fetched {package.name} in {FETCH_SECONDS} s: give `litert_js`") from None
    if done.returncode or not (cache / package.archive).is_file():
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise HRNetError(
            f"npm cannot fetch {package.name} {VERSION}: {lines[-1]}; give `litert_js`, a folder where `{INSTALL}` ran"
        )


def _unpacked(package: NpmPackage, path: Path) -> dict[str, bytes]:
    """The files that a page needs, of a checked archive."""
    with tarfile.open(path) as archive:
        contents = {name: archive.extractfile(f"package/{member}") for name, member in package.files.items()}
        return {name: content.read() for name, content in contents.items() if content is not None}


def write_litert_js(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files of LiteRT.js into a folder."""
    for name, content in files.items():
        write_bytes(folder / name, content)
