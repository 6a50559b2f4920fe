"""An emulated phone for adb: a server on loopback that speaks adb's protocol as a phone's adbd does.

The protocol is that of https://android.googlesource.com/platform/packages/modules/adb (protocol.txt, docs/dev/sync.md,
shell_protocol.h). Commands are run by /bin/sh, with the phone's /data/local/tmp and /sys in a folder of this machine.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

VERSION, MAX_DATA = 0x01000001, 256 * 1024
REGULAR_FILE = 0o100000
STDOUT, STDERR, EXIT = 1, 2, 3
TEMPORARY = "/data/local/tmp"


class Stream:
    """A stream within the connection, such as that of a command."""

    def __init__(self, connection: Connection, local_id: int, remote_id: int):
        self.connection, self.local_id, self.remote_id = connection, local_id, remote_id
        self.incoming: queue.Queue[bytes | None] = queue.Queue()
        self.acknowledged = threading.Semaphore(0)
        self.pending = b""

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), MAX_DATA):
            self.connection.send(b"WRTE", self.local_id, self.remote_id, data[start : start + MAX_DATA])
            self.acknowledged.acquire()

    def read(self, size: int) -> bytes:
        while len(self.pending) < size:
            data = self.incoming.get()
            if data is None:
                raise EOFError
            self.pending += data
        data, self.pending = self.pending[:size], self.pending[size:]
        return data

    def close(self) -> None:
        self.connection.send(b"CLSE", self.local_id, self.remote_id)


class Connection:
    """The connection to an adb server."""

    def __init__(self, phone: EmulatedPhone, link: socket.socket):
        self.phone, self.link = phone, link
        self.streams: dict[int, Stream] = {}
        self.sending = threading.Lock()

    def send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        magic = struct.unpack("<I", command)[0] ^ 0xFFFFFFFF
        with self.sending, contextlib.suppress(OSError):
            self.link.sendall(struct.pack("<4sIIIII", command, first, second, len(data), sum(data) & 0xFFFFFFFF, magic) + data)

    def serve(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                command, first, second, length, _, _ = struct.unpack("<4sIIIII", self._receive(24))
                self._handle(command, first, second, self._receive(length))
        for stream in list(self.streams.values()):
            stream.incoming.put(None)
            stream.acknowledged.release()

    def _handle(self, command: bytes, first: int, second: int, data: bytes) -> None:
        if command == b"CNXN":
            self.send(b"CNXN", VERSION, MAX_DATA, f"device::ro.product.name=emulated;features={self.phone.features}".encode())
        elif command == b"OPEN":
            stream = Stream(self, len(self.streams) + 1, first)
            self.streams[stream.local_id] = stream
            self.send(b"OKAY", stream.local_id, first)
            threading.Thread(target=self.phone.serve, args=(stream, data.rstrip(b"\0").decode()), daemon=True).start()
        elif second in self.streams and command == b"WRTE":
            self.streams[second].incoming.put(data)
            self.send(b"OKAY", second, first)
        elif second in self.streams and command == b"OKAY":
            self.streams[second].acknowledged.release()
        elif second in self.streams and command == b"CLSE":
            self.streams[second].incoming.put(None)
            self.streams[second].acknowledged.release()

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.link.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data


class EmulatedPhone:
    """The phone.

    `root` has its files, `properties` are those of getprop, and `free_bytes` is the space for a file (None for no limit). When a
    command that contains `disconnects_at` runs, or for "SEND" when a file is copied, the phone is disconnected: for good, unless
    it `reconnects`.
    """

    def __init__(self, root: Path, properties: dict[str, str], *, shell_v2: bool = True):
        self.root, self.features = root, "shell_v2,cmd" if shell_v2 else "cmd"
        self.free_bytes: int | None = None
        self.disconnects_at: str | None = None
        self.reconnects = False
        self.commands: list[str] = []
        self.connections: list[Connection] = []
        for folder in ("tmp", "sys", "bin"):
            (root / folder).mkdir(parents=True)
        cases = "\n".join(f"{name}) echo '{value}' ;;" for name, value in properties.items())
        self.install("getprop", f"#!/bin/sh\ncase $1 in\n{cases}\n*) echo ;;\nesac\n")
        for name in ("python3", "python"):  # hides the Python of this machine
            self.install(name, f"#!/bin/sh\necho '/system/bin/sh: {name}: inaccessible or not found' >&2\nexit 127\n")
        self.server = socket.create_server(("127.0.0.1", 0))
        self.serial = f"127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def install(self, name: str, script: str) -> None:
        """Write a program to the phone's PATH."""
        (self.root / "bin" / name).write_text(script)
        (self.root / "bin" / name).chmod(0o755)

    def temporary_files(self) -> list[str]:
        """The names in /data/local/tmp."""
        return sorted(path.name for path in (self.root / "tmp").iterdir())

    def disconnect(self) -> None:
        """Close every connection; without `reconnects` the phone accepts no new ones."""
        if not self.reconnects:
            with contextlib.suppress(OSError):
                self.server.shutdown(socket.SHUT_RDWR)  # closing does not end a waiting accept
            self.server.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.link.shutdown(socket.SHUT_RDWR)
                connection.link.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = Connection(self, self.server.accept()[0])
                self.connections.append(connection)
                threading.Thread(target=connection.serve, daemon=True).start()

    def serve(self, stream: Stream, service: str) -> None:
        with contextlib.suppress(EOFError):
            if service.startswith("sync:"):
                self._sync(stream)
            elif service.startswith("shell"):
                kind, _, command = service.partition(":")
                self._shell(stream, command, separate="v2" in kind.split(","))
        stream.close()

    def here(self, text: str) -> str:
        """Replace paths of the phone by those of this machine."""
        return text.replace(TEMPORARY, f"{self.root}/tmp").replace("/sys/", f"{self.root}/sys/")

    def _shell(self, stream: Stream, command: str, *, separate: bool) -> None:
        self.commands.append(command)
        path = f"{self.root}/bin:/usr/bin:/bin"
        stderr = subprocess.PIPE if separate else subprocess.STDOUT
        arguments = ["/bin/sh", "-c", self.here(command)]
        program = subprocess.Popen(arguments, env={"PATH": path}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr)
        if self.disconnects_at and self.disconnects_at in command:
            time.sleep(0.3)
            self.disconnects_at = None
            self.disconnect()
        readers = [threading.Thread(target=self._pass_on, args=(stream, program.stdout, STDOUT, separate))]
        readers += [threading.Thread(target=self._pass_on, args=(stream, program.stderr, STDERR, separate))] if separate else []
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        status = program.wait()
        if separate:
            stream.write(struct.pack("<BIB", EXIT, 1, status & 0xFF))

    def _pass_on(self, stream: Stream, source, kind: int, separate: bool) -> None:  # type: ignore[no-untyped-def]
        for line in iter(source.readline, b""):
            text = line.decode(errors="replace").replace(f"{self.root}/tmp", TEMPORARY).encode()
            stream.write(struct.pack("<BI", kind, len(text)) + text if separate else text)

    def _sync(self, stream: Stream) -> None:
        """Copy files in both directions, with the first version of the protocol."""
        while True:
            request, length = struct.unpack("<4sI", stream.read(8))
            path = stream.read(length).decode()
            if request == b"QUIT":
                return
            handlers: dict[bytes, Callable[[Stream, str], None]] = {
                b"STAT": self._stat, b"SEND": self._receive_file, b"RECV": self._send_file,
            }  # fmt: skip
            handlers[request](stream, path)

    def _stat(self, stream: Stream, path: str) -> None:
        try:
            status = os.lstat(self.here(path))
            stream.write(struct.pack("<4sIII", b"STAT", status.st_mode, status.st_size, int(status.st_mtime)))
        except OSError:
            stream.write(struct.pack("<4sIII", b"STAT", 0, 0, 0))

    def _receive_file(self, stream: Stream, request: str) -> None:
        path, _, mode = request.rpartition(",")
        data = b""
        while True:
            kind, length = struct.unpack("<4sI", stream.read(8))
            if kind == b"DONE":
                break
            data += stream.read(length)
        target = Path(self.here(path))
        if self.disconnects_at == "SEND":
            target.write_bytes(data[: len(data) // 2])
            self.disconnect()
            return
        if self.free_bytes is not None and len(data) > self.free_bytes:
            target.write_bytes(data[: self.free_bytes])
            self._fail(stream, "write failed: No space left on device")
            return
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            target.chmod(int(mode) & 0o777)
        except OSError as error:
            self._fail(stream, f"couldn't create file: {error.strerror}")
            return
        stream.write(struct.pack("<4sI", b"OKAY", 0))

    def _send_file(self, stream: Stream, path: str) -> None:
        try:
            data = Path(self.here(path)).read_bytes()
        except OSError as error:
            self._fail(stream, f"open failed: {error.strerror}")
            return
        for start in range(0, len(data), 64 * 1024):
            part = data[start : start + 64 * 1024]
            stream.write(struct.pack("<4sI", b"DATA", len(part)) + part)
        stream.write(struct.pack("<4sI", b"DONE", 0))

    def _fail(self, stream: Stream, reason: str) -> None:
        stream.write(struct.pack("<4sI", b"FAIL", len(reason)) + reason.encode())


class Adb:
    """The real adb with a separate server, which sees the emulated phones only."""

    def __init__(self, program: str, folder: Path):
        self.program = program
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        # adb writes its keys to HOME
        self.variables = {"ANDROID_ADB_SERVER_PORT": str(port), "HOME": str(folder)}

    def __call__(self, *arguments: str) -> str:
        environment = {**os.environ, **self.variables}
        result = subprocess.run(
            [self.program, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        return result.stdout + result.stderr

    def connect(self, phone: EmulatedPhone) -> None:
        for _ in range(50):
            output = self("connect", phone.serial)
            if f"{phone.serial}\tdevice" in self("devices"):
                return
            time.sleep(0.1)
        raise RuntimeError(f"adb does not reach the emulated phone: {output}")


@contextlib.contextmanager
def running_adb(program: str, folder: Path) -> Iterator[Adb]:
    adb = Adb(program, folder)
    adb("start-server")
    try:
        yield adb
    finally:
        adb("kill-server")
