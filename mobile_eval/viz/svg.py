"""Elements of SVG as strings: charts are plain text, so that they need no plotting library on the device.

Elements have the colors of the light scheme as attributes, which any program can draw. A style sheet in each picture replaces
them where the reader prefers a dark scheme, also in a picture that a page embeds. A background keeps it legible on any page.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from html import escape

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
INK = "#1c2430"
MUTED = "#667085"
FAINT = "#c5cbd5"
GRID = "#e6e9ef"
PAPER = "#ffffff"
FILL = "#dfe5ee"  # of boxes
BLUE, ORANGE, GREEN, PURPLE, GOLD, RED = "#2458d3", "#c2570c", "#0f8a6d", "#8b3fb5", "#9a6f00", "#c02652"
TEAL, GRAY = "#2f7196", "#6b7280"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, GOLD, RED, TEAL, GRAY)  # of series, in this order
DARK = {  # the color of the dark scheme for each one of the light scheme
    INK: "#e6edf3",
    MUTED: "#9da7b3",
    FAINT: "#454c56",
    GRID: "#262c36",
    PAPER: "#0d1117",
    FILL: "#2d3644",
    BLUE: "#79a8ff",
    ORANGE: "#f0913f",
    GREEN: "#3fb98f",
    PURPLE: "#c792f5",
    GOLD: "#e0b040",
    RED: "#ff7b93",
    TEAL: "#6cb6dd",
    GRAY: "#a0a8b4",
}
STYLE_CLASS = "hrnet-chart"  # of the root of a picture
MARGIN = 8  # pixels of background around a picture
MIN_TEXT = 11.0  # pixels
NARROW = 340.0  # width of a chart for a phone in pixels, without the margins
TICKS = 5  # on an axis, about
# Characters that XML 1.0 cannot hold, escaped or not (https://www.w3.org/TR/xml/#charsets).
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
REPLACEMENT = "\ufffd"


def visible(content: str) -> str:
    """Replace the characters that XML, and so SVG, cannot hold; names of files may contain any."""
    return NOT_XML.sub(REPLACEMENT, content)


def escaped(content: str) -> str:
    """Escape a text for SVG and HTML."""
    return escape(visible(content))


def element(tag: str, attributes: Mapping[str, object], content: str = "", title: str = "") -> str:
    """Return an SVG element.

    Args:
        tag: Name of the element.
        attributes: Attributes by name; they are escaped, and those that are None are omitted.
        content: Inner SVG; it is not escaped.
        title: Tooltip.
    """
    written = "".join(f' {name}="{escaped(_attribute(value))}"' for name, value in attributes.items() if value is not None)
    inside = (f"<title>{escaped(title)}</title>" if title else "") + content
    return f"<{tag}{written}>{inside}</{tag}>" if inside else f"<{tag}{written}/>"


def text(
    x: float, y: float, content: str, *, size: float = 12, anchor: str = "start", color: str = INK, weight: int = 400
) -> str:
    """Return a line of text whose baseline is at `y`."""
    attributes = {"x": x, "y": y, "font-size": size, "text-anchor": anchor, "fill": color, "font-weight": weight}
    return element("text", attributes, escaped(content))


def line(x1: float, y1: float, x2: float, y2: float, color: str = GRID, width: float = 1, dash: str | None = None) -> str:
    """Return a straight line; `dash` is an SVG stroke-dasharray."""
    attributes = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "stroke": color, "stroke-width": width, "stroke-dasharray": dash}
    return element("line", attributes)


def picture(width: float, height: float, parts: Iterable[str], label: str) -> str:
    """Return a complete SVG picture with a background, in the color scheme that the reader prefers.

    Args:
        width: Width in pixels.
        height: Height in pixels.
        parts: Elements in drawing order.
        label: Description for screen readers.
    """
    frame = {"x": -MARGIN, "y": -MARGIN, "width": width + 2 * MARGIN, "height": height + 2 * MARGIN}
    background = element("rect", {**frame, "fill": PAPER})
    style = element("style", {}, dark_style())
    attributes: dict[str, object] = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": " ".join(f"{value:g}" for value in frame.values()),
        "width": frame["width"],
        "height": frame["height"],
        "font-family": FONT,
        "class": STYLE_CLASS,
        "role": "img",
        "aria-label": label,
    }
    return element("svg", attributes, "\n".join([background, style, *parts]))


def dark_style() -> str:
    """Return the style sheet of a picture: dark colors in the place of light ones, where the reader prefers them."""
    rules = (f'.{STYLE_CLASS} [{name}="{light}"]{{{name}:{dark}}}' for light, dark in DARK.items() for name in ("fill", "stroke"))
    return f"@media (prefers-color-scheme:dark){{{''.join(rules)}}}"


def tick_step(extent: float) -> float:
    """Return a round step (1, 2, 2.5 or 5 times a power of ten) that divides the extent of an axis into about five."""
    raw = max(extent, 1e-9) / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)


def _attribute(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
