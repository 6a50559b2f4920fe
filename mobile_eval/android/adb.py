"""A phone as Android's `adb` reaches it: commands with their exit status, files there and back, a folder that is removed.

`adb` itself does the talking. Whatever fails is a HRNetError of one line; a phone that goes away is `GoneError`.
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
TIMEOUT_S = 60.0  # of commands that take no time of themselves
RETURN_S = 10.0  # how long a phone that went away is waited for, to clean up
STATUS = "hrnet_tf-status:"  # what a command's exit status is printed after: older phones' adb does not pass it on
NO_ADB = "{program} is not there: install Android's platform-tools (Debian: apt install adb), or give its path to `adb`"
NO_PHONE = "no phone on adb: turn on USB debugging in its developer options, connect it, and look at `adb devices`"
STATES = {
    "unauthorized": "does not trust this machine yet: allow USB debugging on its screen",
    "offline": "is offline: connect it again, or run `adb reconnect`",
    "no permissions": "may not be opened by this user: see `adb devices`",
}
COPY_FAILED = re.compile(r"failed to copy '.*' to '.*': (?:remote )?(.*)")
GONE = re.compile(
    r"device '.*' not found|device offline|no devices|error: closed|connection (?:reset|closed)|EOF|protocol fault"
    r"|couldn't read from device|Connection reset|Broken pipe"
)


class GoneError(HRNetError):
    """The phone does not answer any more."""


@dataclass(frozen=True)
class Done:
    """A command that ended on the phone."""

    status: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        """Both outputs: older phones do not keep them apart, and programs differ in which they use."""
        return self.stdout + self.stderr

    @property
    def reason(self) -> str:
        """The last thing it said, or its exit status."""
        lines = [line.strip() for line in (self.stderr.strip() or self.stdout.strip()).splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {self.status}"


@dataclass(frozen=True)
class Phone:
    """A phone by its serial number, reached by the client `program`."""

    program: str
    serial: str

    def shell(self, command: str, timeout_s: float | None = TIMEOUT_S) -> Done:
        """Run a line of shell; `GoneError` where its end does not arrive."""
        done = self._adb(["shell", f"{command}\necho {STATUS}$?"], timeout_s)
        output, marker, status = done.stdout.rpartition(STATUS)
        if not marker or not status.strip().isdigit():
            said = Done(done.status, "", done.stderr).reason if done.stderr.strip() else "adb's connection ended"
            raise GoneError(
                f"the phone {self.serial} went away in the middle of it ({said}): connect it again, and see `adb devices`"
            )
        return Done(int(status), output.replace("\r\n", "\n"), done.stderr)

    def checked(self, command: str) -> str:
        """Standard output of a command that has to work."""
        done = self.shell(command)
        if done.status:
            raise HRNetError(f"the phone {self.serial} cannot `{command}`: {done.reason}")
        return done.stdout

    def push(self, sources: Sequence[Path | str], target: str) -> None:
        """Copy files or folders onto the phone."""
        done = self._adb(["push", *map(str, sources), target], None)
        if done.status:
            what = Path(sources[0]).name if len(sources) == 1 else f"{len(sources)} files"
            raise self._failed(f"cannot copy {what} to the phone {self.serial}", done)

    def pull(self, source: str, target: Path | str) -> None:
        """Copy a file from the phone."""
        done = self._adb(["pull", source, str(target)], None)
        if done.status:
            raise self._failed(f"cannot fetch {source} from the phone {self.serial}", done)

    def wait(self) -> None:
        """Wait until the phone is there again; `GoneError` where it does not come back."""
        self._adb(["wait-for-device"], RETURN_S)

    @contextlib.contextmanager
    def folder(self) -> Iterator[str]:
        """A new folder on the phone, removed whatever happens; what was started with `killable` in it is ended first."""
        path = f"{TEMPORARY}/hrnet_tf.{secrets.token_hex(4)}"
        self.checked(f"mkdir {path}")
        try:
            yield path
        except BaseException as error:
            try:
                if isinstance(error, GoneError):
                    self.wait()
                self._remove(path)
            except HRNetError:  # the first failure is the one to tell
                if isinstance(error, HRNetError):
                    raise GoneError(f"{error}; what was copied is left there in {path}") from error
            raise
        else:
            self._remove(path)

    def _remove(self, path: str) -> None:
        self.checked(f"if [ -f {path}/pid ]; then kill $(cat {path}/pid) 2>/dev/null; fi; rm -rf {path}")

    def _adb(self, arguments: Sequence[str], timeout_s: float | None) -> Done:
        return _run([self.program, "-s", self.serial, *arguments], timeout_s)

    def _failed(self, what: str, done: Done) -> HRNetError:
        copying = COPY_FAILED.search(done.text)
        reason = copying[1].strip() if copying else done.reason.removeprefix("adb: ").removeprefix("error: ")
        if GONE.search(reason):
            return GoneError(f"{what}: it went away ({reason}): connect it again, and see `adb devices`")
        return HRNetError(f"{what}: {reason}" + ("; make room on it first" if "No space left" in reason else ""))


def killable(command: str, folder: str) -> str:
    """`command` as one that is ended before `folder` is removed, should it still run then."""
    script = shlex.quote(f"echo $$ > {folder}/pid; exec {command}")
    return f"sh -c {script}\nended=$?\nrm -f {folder}/pid\n(exit $ended)"


def find_phone(adb: str | None = None, serial: str | None = None) -> Phone:
    """The phone of that serial number (or ANDROID_SERIAL's), or the only one; HRNetError says what is in the way."""
    program = shutil.which(adb or "adb")
    if program is None:
        raise HRNetError(NO_ADB.replace("{program}", adb or "adb"))
    done = _run([program, "devices"], TIMEOUT_S)
    if done.status:
        raise HRNetError(f"`adb devices` failed: {done.reason}")
    lines = done.stdout.partition("List of devices attached")[2].splitlines()
    states = {fields[0]: fields[1].strip() for line in lines if len(fields := line.split(maxsplit=1)) > 1}
    serial = serial or os.environ.get("ANDROID_SERIAL") or None
    if serial is None and not states:
        raise HRNetError(NO_PHONE)
    if serial is None and len(states) > 1:
        raise HRNetError(f"{len(states)} phones on adb ({', '.join(states)}): choose one with `serial`")
    chosen = serial or next(iter(states))
    if chosen not in states:
        raise HRNetError(f"no phone {chosen} on adb; there is {', '.join(states) or 'none'}")
    if states[chosen] != "device":
        state = next((why for name, why in STATES.items() if states[chosen].startswith(name)), f"is in state {states[chosen]!r}")
        raise HRNetError(f"the phone {chosen} {state}")
    return Phone(program, chosen)


def _run(command: Sequence[str], timeout_s: float | None) -> Done:
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        raise GoneError(f"adb did not answer in {timeout_s:g} s (`{' '.join(command[1:])[:80]}`): see `adb devices`") from None
    except OSError as error:
        raise HRNetError(f"cannot run {command[0]}: {error.strerror or error}") from error
    return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
