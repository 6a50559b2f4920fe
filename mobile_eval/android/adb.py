"""Reach a phone over Android's `adb`: run commands, copy files, and use a temporary folder that is removed afterwards.

The program `adb` does the work. Failures are an HRNetError; a phone that was disconnected raises `DisconnectedError`.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mobile_eval.errors import HRNetError

TEMPORARY = "/data/local/tmp"  # where adb's user may write and start programs
TIMEOUT_S = 60.0  # of short commands
RECONNECT_S = 10.0  # how long to wait for a disconnected phone, in order to clean up
STATUS = "hrnet_tf-status:"  # printed before a command's exit status, which the adb of older phones does not return
NO_ADB = "{program} was not found: install Android's platform-tools (Debian: apt install adb), or give its path to `adb`"
NO_PHONE = "no phone on adb: turn on USB debugging in its developer options, connect it, and look at `adb devices`"
STATES = {  # as `adb devices` prints them
    "unauthorized": "does not trust this machine yet: allow USB debugging on its screen",
    "offline": "is offline: connect it again, or run `adb reconnect`",
    "no permissions": "cannot be opened by this user: see `adb devices`",
}
COPY_FAILED = re.compile(r"failed to copy '.*' to '.*': (?:remote )?(.*)")
DISCONNECTED = re.compile(
    r"device '.*' not found|device offline|no devices|error: closed|connection (?:reset|closed)|EOF|protocol fault"
    r"|couldn't read from device|Connection reset|Broken pipe"
)


class DisconnectedError(HRNetError):
    """The phone no longer answers."""


@dataclass(frozen=True)
class CommandResult:
    """A command that has ended: its exit status and what it printed."""

    status: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """Both outputs. Older phones do not separate them, and programs differ in which one they use."""
        return self.stdout + self.stderr

    @property
    def reason(self) -> str:
        """Why it failed: the last line it printed, or its exit status."""
        lines = [line.strip() for line in (self.stderr.strip() or self.stdout.strip()).splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {self.status}"


@dataclass(frozen=True)
class Phone:
    """A phone.

    Attributes:
        program: The path of `adb`.
        serial: The phone's serial number.
    """

    program: str
    serial: str

    def shell(self, command: str, timeout_s: float | None = TIMEOUT_S) -> CommandResult:
        """Run a line of shell.

        Args:
            command: The line.
            timeout_s: Seconds after which the phone counts as disconnected; None for no limit.

        Raises:
            DisconnectedError: The phone was disconnected before the command ended.
        """
        result = self._adb(["shell", f"{command}\necho {STATUS}$?"], timeout_s)
        output, marker, status = result.stdout.rpartition(STATUS)
        if not marker or not status.strip().isdigit():
            reason = CommandResult(result.status, "", result.stderr).reason if result.stderr.strip() else "adb's connection ended"
            raise DisconnectedError(
                f"the phone {self.serial} was disconnected during a command ({reason}): connect it again, and see `adb devices`"
            )
        return CommandResult(int(status), output.replace("\r\n", "\n"), result.stderr)

    def checked(self, command: str) -> str:
        """Run a line of shell and return its standard output; HRNetError where it fails."""
        result = self.shell(command)
        if result.status:
            raise HRNetError(f"the phone {self.serial} cannot `{command}`: {result.reason}")
        return result.stdout

    def push(self, sources: Sequence[Path | str], target: str) -> None:
        """Copy files or folders to the phone."""
        result = self._adb(["push", *map(str, sources), target], None)
        if result.status:
            files = Path(sources[0]).name if len(sources) == 1 else f"{len(sources)} files"
            raise self._copy_error(f"cannot copy {files} to the phone {self.serial}", result)

    def pull(self, source: str, target: Path | str) -> None:
        """Copy a file from the phone."""
        result = self._adb(["pull", source, str(target)], None)
        if result.status:
            raise self._copy_error(f"cannot copy {source} from the phone {self.serial}", result)

    def wait(self) -> None:
        """Wait until the phone is connected again; DisconnectedError after RECONNECT_S."""
        self._adb(["wait-for-device"], RECONNECT_S)

    @contextlib.contextmanager
    def folder(self) -> Iterator[str]:
        """A temporary folder on the phone. When it is removed, a `killable` command that still runs in it is ended first."""
        path = f"{TEMPORARY}/hrnet_tf.{secrets.token_hex(4)}"
        self.checked(f"mkdir {path}")
        try:
            yield path
        except BaseException as error:
            try:
                if isinstance(error, DisconnectedError):
                    self.wait()
                self._remove(path)
            except HRNetError:  # the first failure is the one to report
                if isinstance(error, HRNetError):
                    raise DisconnectedError(f"{error}; the copied files are still on the phone, in {path}") from error
            raise
        else:
            self._remove(path)

    def _remove(self, path: str) -> None:
        self.checked(f"if [ -f {path}/pid ]; then kill $(cat {path}/pid) 2>/dev/null; fi; rm -rf {path}")

    def _adb(self, arguments: Sequence[str], timeout_s: float | None) -> CommandResult:
        return _run([self.program, "-s", self.serial, *arguments], timeout_s)

    def _copy_error(self, summary: str, result: CommandResult) -> HRNetError:
        match = COPY_FAILED.search(result.output)
        reason = match[1].strip() if match else result.reason.removeprefix("adb: ").removeprefix("error: ")
        if DISCONNECTED.search(reason):
            return DisconnectedError(f"{summary}: it was disconnected ({reason}): connect it again, and see `adb devices`")
        return HRNetError(f"{summary}: {reason}" + ("; free some space on it" if "No space left" in reason else ""))


def killable(command: str, folder: str) -> str:
    """Wrap a command so that it is ended before `folder` is removed."""
    script = shlex.quote(f"echo $$ > {folder}/pid; exec {command}")
    return f"sh -c {script}\nstatus=$?\nrm -f {folder}/pid\n(exit $status)"


def find_phone(adb: str | None = None, serial: str | None = None) -> Phone:
    """Find a connected phone.

    Args:
        adb: Path of `adb`; None for the one on the PATH.
        serial: Serial number; None for that in ANDROID_SERIAL or, without it, the only phone.

    Raises:
        HRNetError: There is no adb, no phone, more than one, or it is not ready. The message says what to do.
    """
    program = shutil.which(adb or "adb")
    if program is None:
        raise HRNetError(NO_ADB.replace("{program}", adb or "adb"))
    listing = _run([program, "devices"], TIMEOUT_S)
    if listing.status:
        raise HRNetError(f"`adb devices` failed: {listing.reason}")
    lines = listing.stdout.partition("List of devices attached")[2].splitlines()
    states = {fields[0]: fields[1].strip() for line in lines if len(fields := line.split(maxsplit=1)) > 1}
    serial = serial or os.environ.get("ANDROID_SERIAL") or None
    if serial is None and not states:
        raise HRNetError(NO_PHONE)
    if serial is None and len(states) > 1:
        raise HRNetError(f"{len(states)} phones on adb ({', '.join(states)}): choose one with `serial`")
    serial = serial or next(iter(states))
    if serial not in states:
        raise HRNetError(f"no phone {serial} on adb; expected {' or '.join(states) or 'a connected phone, and there is none'}")
    state = states[serial]
    if state != "device":
        problem = next((text for name, text in STATES.items() if state.startswith(name)), f"is in state {state!r}")
        raise HRNetError(f"the phone {serial} {problem}")
    return Phone(program, serial)


def _run(command: Sequence[str], timeout_s: float | None) -> CommandResult:
    try:
        ended = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        raise DisconnectedError(
            f"adb did not answer in {timeout_s:g} s (`{' '.join(command[1:])[:80]}`): see `adb devices`"
        ) from None
    except OSError as error:
        raise HRNetError(f"cannot run {command[0]}: {error.strerror or error}") from error
    return CommandResult(ended.returncode, ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace"))
