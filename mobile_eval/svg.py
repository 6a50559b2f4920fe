"""Pieces of SVG as strings; pictures are plain text, so that they need no drawing library on the device."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
INK = "#1c2430"
MUTED = "#667085"
FAINT = "#c5cbd5"
GRID = "#e6e9ef"
PAPER = "#ffffff"


def element(tag: str, attributes: dict[str, object], content: str = "", title: str = "") -> str:
    """One element; `title` becomes its tooltip. Attribute values are escaped, `content` is not."""
    written = "".join(f' {name}="{escape(_number(value))}"' for name, value in attributes.items() if value is not None)
    inside = (f"<title>{escape(title)}</title>" if title else "") + content
    return f"<{tag}{written}>{inside}</{tag}>" if inside else f"<{tag}{written}/>"


def text(
    x: float, y: float, content: str, *, size: float = 12, anchor: str = "start", color: str = INK, weight: int = 400
) -> str:
    """A line of text whose baseline is at `y`."""
    attributes = {"x": x, "y": y, "font-size": size, "text-anchor": anchor, "fill": color, "font-weight": weight}
    return element("text", attributes, escape(content))


def line(x1: float, y1: float, x2: float, y2: float, color: str = GRID, width: float = 1, dash: str | None = None) -> str:
    """A straight line."""
    attributes = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "stroke": color, "stroke-width": width, "stroke-dasharray": dash}
    return element("line", attributes)


def picture(width: float, height: float, parts: Iterable[str], label: str) -> str:
    """A whole picture that keeps its natural size where there is room and shrinks where there is not."""
    attributes: dict[str, object] = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": f"0 0 {width:g} {height:g}",
        "width": width,
        "height": height,
        "style": "max-width:100%;height:auto",
        "font-family": FONT,
        "role": "img",
        "aria-label": label,
    }
    return element("svg", attributes, "\n".join(parts))


def _number(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
