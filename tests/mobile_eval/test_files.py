"""Atomic writes: complete files or none, cleanup after killed processes, and error messages."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mobile_eval import files
from mobile_eval.errors import HRNetError
from mobile_eval.files import (
    check_output_file,
    check_output_folder,
    complete_folder,
    part_path,
    remove_all_parts,
    write_atomically,
    write_json,
    write_text,
)
from tests.support.killing import path_of_dead_process


def test_unfinished_files_belong_to_this_process(tmp_path: Path) -> None:
    seen: list[Path] = []

    def write(beside: Path) -> None:
        seen.append(beside)
        beside.write_text("x")

    write_atomically(tmp_path / "a.json", write)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert f".{os.getpid()}-" in seen[0].name
    assert seen == [part_path(tmp_path / "a.json")]


def test_files_of_dead_processes_are_removed(tmp_path: Path) -> None:
    stale = path_of_dead_process(part_path(tmp_path / "a.json"))
    folder = path_of_dead_process(part_path(tmp_path / "people"))
    video = path_of_dead_process(part_path(tmp_path / "clip.mp4", ".mp4"))
    living = tmp_path / part_path("b.json").name.replace(f".{os.getpid()}-", f".{os.getppid()}-")
    elsewhere = tmp_path / stale.name.replace(stale.name.split("-")[-1], "0123abcd.part")
    mine = tmp_path / ".notes.part"
    folder.mkdir()
    for path in (stale, video, living, elsewhere, mine, folder / "1.jpg"):
        path.write_text("half")
    write_text(tmp_path / "c.txt", "complete")
    assert {path.name for path in tmp_path.iterdir()} == {living.name, elsewhere.name, mine.name, "c.txt"}


def test_all_unfinished_files_of_a_folder_are_removed(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    living = tmp_path / "cat" / part_path("1.jpg").name.replace(f".{os.getpid()}-", f".{os.getppid()}-")
    for path in (living, tmp_path / "cat" / "1.jpg", tmp_path / ".keep"):
        path.write_text("x")
    remove_all_parts(tmp_path)
    assert {path.name for path in tmp_path.rglob("*")} == {"cat", "1.jpg", ".keep"}


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_the_message_names_the_file_and_the_first_reason(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a read-only file system, removing the unfinished file fails, too."""

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(files.Path, "write_bytes", refuse)
    monkeypatch.setattr(files.Path, "unlink", refuse)
    with pytest.raises(HRNetError) as caught:
        write_json(tmp_path / "b.json", {})
    assert str(caught.value) == f"cannot write {tmp_path / 'b.json'}: {os.strerror(number)}"


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyError("k"), KeyboardInterrupt()])
def test_a_folder_appears_complete_or_not_at_all(failure: BaseException, tmp_path: Path) -> None:
    def fail() -> None:
        with complete_folder(tmp_path / "people") as draft:
            (draft / "images").mkdir()
            raise failure

    with pytest.raises((ValueError, type(failure))):
        fail()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "people").mkdir()  # an empty folder may be replaced
    with complete_folder(tmp_path / "people") as draft:
        write_text(draft / "a" / "b.txt", "x")
        assert list((tmp_path / "people").iterdir()) == []
    assert [path.name for path in tmp_path.rglob("*")] == ["people", "a", "b.txt"]


def test_errors_name_the_folder_of_the_user(tmp_path: Path) -> None:
    def fail() -> None:
        with complete_folder(tmp_path / "people") as draft:
            write_text(draft / "a", "a file")
            write_text(draft / "a" / "b.txt", "in a file")

    with pytest.raises(HRNetError, match=rf"^cannot write {tmp_path}/people/a/b\.txt: "):
        fail()


def test_impossible_outputs_are_refused_beforehand(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(HRNetError, match=r"^cannot write .*/file/a\.json: Not a directory"):
        check_output_file(tmp_path / "file" / "a.json")
    with pytest.raises(HRNetError, match="it is a folder; give the name of a file"):
        check_output_file(tmp_path)
    with pytest.raises(HRNetError, match=r"cannot make the folder .*/file/out: Not a directory"):
        check_output_folder(tmp_path / "file" / "out")
    check_output_file(tmp_path / "new" / "folder" / "a.json")
    check_output_file("/dev/stdout")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]  # nothing was created


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is refused to root")
def test_a_folder_without_permission_is_refused_beforehand(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    for check in (check_output_file, check_output_folder):
        with pytest.raises(HRNetError, match=r"Permission denied"):
            check(tmp_path / "a")
    tmp_path.chmod(0o700)
