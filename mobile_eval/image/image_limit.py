"""How many pixels an image may have: one limit for the process, as Pillow has one, since every task reads images."""

from __future__ import annotations

from mobile_eval.errors import HRNetError

MAX_PIXELS = 100_000_000
MOST_PIXELS = (2**31 - 1) // 3  # opencv's warps count the bytes of RGB images in 32 bits, and crash above
LONGEST_SIDE = 2**15 - 2  # and coordinates in 16

_limit = MAX_PIXELS


def max_pixels() -> int:
    """The most pixels that an image or mask may have."""
    return _limit


def set_max_pixels(pixels: int | None) -> None:
    """Let images and masks have at most so many pixels from now on, in all threads; as many as before for None."""
    if pixels is None:
        return
    if not 1 <= pixels <= MOST_PIXELS:
        raise HRNetError(f"`max_pixels` must be from 1 to {MOST_PIXELS:,}, got {pixels:,}")
    global _limit
    _limit = pixels
