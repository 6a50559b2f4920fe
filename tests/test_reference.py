"""The reference: its generated page of commands, and a place for every public name."""

from __future__ import annotations

import re
from pathlib import Path

import hrnet_tf
from tools import cli_reference

API = Path(__file__).parents[1] / "docs" / "reference" / "api"


def test_page_of_the_commands_is_generated() -> None:
    """After a change of options: `python tools/cli_reference.py`."""
    assert cli_reference.PAGE.read_text(encoding="utf-8") == cli_reference.reference()


def test_every_public_name_is_on_one_page() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in sorted(API.glob("*.md")))
    names = re.findall(r"^::: hrnet_tf\.(\w+)$", text, re.MULTILINE)
    assert sorted(names) == sorted(set(hrnet_tf.__all__) - {"__version__"})
