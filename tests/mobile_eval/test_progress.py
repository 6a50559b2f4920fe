"""Progress bars on stderr, on terminals only."""

from __future__ import annotations

import pytest

from mobile_eval.progress import counting, tracked


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment that makes rich treat stderr as a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.usefixtures("terminal")
def test_counted_items(capsys: pytest.CaptureFixture[str]) -> None:
    with counting("removing", 7) as advance:
        advance(3)
        advance(4)
    output = capsys.readouterr()
    assert "7/7" in output.err
    assert output.out == ""


@pytest.mark.usefixtures("terminal")
def test_tracked_items(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(tracked(range(5), "reading")) == [0, 1, 2, 3, 4]
    assert "5/5" in capsys.readouterr().err


def test_no_bar_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with counting("removing", 2) as advance:
        advance(2)
    assert list(tracked("ab", "reading", show=False)) == ["a", "b"]
    assert capsys.readouterr().err == ""
