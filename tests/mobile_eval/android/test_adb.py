"""The choice of a phone, its errors, and commands on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobile_eval.android.adb import DisconnectedError, Phone, find_phone
from mobile_eval.errors import HRNetError
from tests.support.program import COMMANDS

from .emulated_phone import Adb, EmulatedPhone


@pytest.fixture
def listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An adb that lists the devices in a file, in the form of adb 1.0.41."""
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    script = tmp_path / "adb"
    script.write_text(f"#!/bin/sh\necho 'List of devices attached'\ncat {tmp_path}/devices\necho\n")
    script.chmod(0o755)
    return tmp_path / "devices"


@pytest.mark.parametrize(
    ("devices", "named"),
    [
        ("", "no phone on adb"),
        ("abc\tunauthorized\n", "abc does not trust"),
        ("abc\toffline\n", "abc is offline"),
        ("abc\trecovery\n", "abc .*'recovery'"),
        ("abc\tno permissions (user in plugdev group; are your udev rules wrong?)\n", "abc cannot be opened"),
        ("abc\tdevice\nemulator-5554\toffline\n", r"abc, emulator-5554\): .*`serial`"),
    ],
)
def test_phones_that_are_not_ready(listing: Path, devices: str, named: str) -> None:
    listing.write_text(devices)
    with pytest.raises(HRNetError, match=named):
        find_phone(str(listing.with_name("adb")))


def test_find_phone(listing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adb = str(listing.with_name("adb"))
    listing.write_text("abc\tdevice\n")
    assert find_phone(adb) == Phone(adb, "abc")
    listing.write_text("abc\tdevice\ndef\tdevice\n")
    assert find_phone(adb, "def").serial == "def"
    monkeypatch.setenv("ANDROID_SERIAL", "abc")
    assert find_phone(adb).serial == "abc"


def test_statuses_outputs_and_files(adb: Adb, phone: EmulatedPhone, tmp_path: Path) -> None:
    connected = find_phone()
    result = connected.shell("echo out; echo err >&2; exit_with() { return 3; }; exit_with")
    assert (result.status, result.stdout, result.stderr) == (3, "out\n", "err\n")
    with pytest.raises(HRNetError, match="ls /data/local/tmp/none"):
        connected.checked("ls /data/local/tmp/none")
    with connected.folder() as folder:
        (tmp_path / "sent").write_bytes(bytes(range(256)) * 4000)
        connected.push([tmp_path / "sent"], f"{folder}/there")
        connected.pull(f"{folder}/there", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == (tmp_path / "sent").read_bytes()
        with pytest.raises(HRNetError, match=r"/none from the phone"):
            connected.pull(f"{folder}/none", tmp_path / "none")
    assert phone.temporary_files() == []
    phone.disconnect()
    with pytest.raises(DisconnectedError, match="was disconnected"):
        connected.checked("echo")


def test_hrnet_has_the_commands() -> None:
    assert "--benchmark-binary" in COMMANDS["target", "android", "benchmark"]
