"""Which phone is chosen, and what is in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

import hrnet_tf.__main__
from mobile_eval.android.adb import GoneError, Phone, find_phone
from mobile_eval.errors import HRNetError

from .standin import Adb, StandIn


@pytest.fixture
def listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An adb that lists what is in a file; what it prints is that of adb 1.0.41."""
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    script = tmp_path / "adb"
    script.write_text(f"#!/bin/sh\necho 'List of devices attached'\ncat {tmp_path}/devices\necho\n")
    script.chmod(0o755)
    return tmp_path / "devices"


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ("", "no phone on adb: turn on USB debugging"),
        ("abc\tunauthorized\n", "the phone abc does not trust this machine yet: allow USB debugging on its screen"),
        ("abc\toffline\n", "the phone abc is offline"),
        ("abc\trecovery\n", "the phone abc is in state 'recovery'"),
        ("abc\tno permissions (user in plugdev group; are your udev rules wrong?)\n", "the phone abc may not be opened"),
        ("abc\tdevice\nemulator-5554\toffline\n", r"2 phones on adb \(abc, emulator-5554\): choose one with `serial`"),
    ],
)
def test_what_is_in_the_way(listing: Path, devices: str, message: str) -> None:
    listing.write_text(devices)
    with pytest.raises(HRNetError, match=message):
        find_phone(str(listing.with_name("adb")))


def test_the_phone_is_chosen(listing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adb = str(listing.with_name("adb"))
    listing.write_text("abc\tdevice\n")
    assert find_phone(adb) == Phone(adb, "abc")
    listing.write_text("abc\tdevice\ndef\tdevice\n")
    assert find_phone(adb, "def").serial == "def"
    monkeypatch.setenv("ANDROID_SERIAL", "abc")
    assert find_phone(adb).serial == "abc"


def test_statuses_outputs_and_files(adb: Adb, phone: StandIn, tmp_path: Path) -> None:
    found = find_phone()
    done = found.shell("echo out; echo err >&2; exit_with() { return 3; }; exit_with")
    assert (done.status, done.stdout, done.stderr) == (3, "out\n", "err\n")
    with pytest.raises(HRNetError, match=r"cannot `ls /data/local/tmp/none`: .*No such file"):
        found.checked("ls /data/local/tmp/none")
    with found.folder() as folder:
        (tmp_path / "sent").write_bytes(bytes(range(256)) * 4000)
        found.push([tmp_path / "sent"], f"{folder}/there")
        found.pull(f"{folder}/there", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == (tmp_path / "sent").read_bytes()
        with pytest.raises(HRNetError, match=r"cannot fetch .*/none from the phone .*: .*does not exist"):
            found.pull(f"{folder}/none", tmp_path / "none")
    assert phone.left() == []
    phone.leave()
    with pytest.raises(GoneError, match="went away"):
        found.checked("echo")


def test_hrnet_has_the_commands() -> None:
    groups = hrnet_tf.__main__.app.registered_groups
    assert "android" in [group.typer_instance.info.name for group in groups if group.typer_instance]
