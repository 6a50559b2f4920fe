"""Pieces of SVG as strings; pictures are plain text, so that they need no drawing library on the device."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

PALETTE = ("#2458d3", "#c2570c", "#0f8a6d", "#8b3fb5", "#b8860b", "#c02652", "#3a7ca5", "#6b7280")  # of models and networks
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
INK = "#1c2430"
MUTED = "#667085"
FAINT = "#c5cbd5"
GRID = "#e6e9ef"
PAPER = "#ffffff"
MARGIN = 8  # of the background around a picture
# What XML 1.0 has no place for, escaped or not (https://www.w3.org/TR/xml/#charsets): control characters, halves of pairs.
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
REPLACEMENT = "\ufffd"


def visible(content: str) -> str:
    """`content` with a replacement character for each that XML, and so SVG, cannot hold: names of files may have any."""
    return NOT_XML.sub(REPLACEMENT, content)


def escaped(content: str) -> str:
    """Text as it is written in SVG and HTML."""
    return escape(visible(content))


def element(tag: str, attributes: dict[str, object], content: str = "", title: str = "") -> str:
    """One element; `title` becomes its tooltip. Attribute values are escaped, `content` is not."""
    written = "".join(f' {name}="{escaped(_number(value))}"' for name, value in attributes.items() if value is not None)
    inside = (f"<title>{escaped(title)}</title>" if title else "") + content
    return f"<{tag}{written}>{inside}</{tag}>" if inside else f"<{tag}{written}/>"


def text(
    x: float, y: float, content: str, *, size: float = 12, anchor: str = "start", color: str = INK, weight: int = 400
) -> str:
    """A line of text whose baseline is at `y`."""
    attributes = {"x": x, "y": y, "font-size": size, "text-anchor": anchor, "fill": color, "font-weight": weight}
    return element("text", attributes, escaped(content))


def line(x1: float, y1: float, x2: float, y2: float, color: str = GRID, width: float = 1, dash: str | None = None) -> str:
    """A straight line."""
    attributes = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "stroke": color, "stroke-width": width, "stroke-dasharray": dash}
    return element("line", attributes)


def picture(width: float, height: float, parts: Iterable[str], label: str) -> str:
    """A picture that keeps its natural size where there is room and shrinks where there is not.

    It has a background of its own, so that it can be read on a dark page.
    """
    place = {"x": -MARGIN, "y": -MARGIN, "width": width + 2 * MARGIN, "height": height + 2 * MARGIN}
    background = element("rect", {**place, "fill": PAPER})
    attributes: dict[str, object] = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": " ".join(f"{value:g}" for value in place.values()),
        "width": place["width"],
        "height": place["height"],
        "style": "max-width:100%;height:auto",
        "font-family": FONT,
        "role": "img",
        "aria-label": label,
    }
    return element("svg", attributes, "\n".join([background, *parts]))


def _number(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
