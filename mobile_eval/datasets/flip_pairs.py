"""Which keypoints swap in a mirrored image: by their names, by the markup of a face, or as the user states.

A name is split into words at all characters other than letters and digits, and where lower and upper case meet. `left_eye`,
`LEFT_EYE`, `leftEye`, `Left Eye`, `L_eye`, `eyeL`, `LEye` and `forelegL1` all have a word for the side. Two keypoints are a pair
only if swapping the side turns one name into the other, ignoring case and separators.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from mobile_eval.errors import HRNetError
from mobile_eval.typed import brief

Pairs = tuple[tuple[int, int], ...]

AUTO = "auto"  # the known pairs
NONE = "none"  # no pairs: the object has no sides
EXAMPLE = "nose_a:nose_b,2:5"
LEFT, RIGHT = "left", "right"
WORDS = {"left": LEFT, "right": RIGHT}
SHORT = {"l": LEFT, "r": RIGHT, "lt": LEFT, "rt": RIGHT, "lft": LEFT, "rgt": RIGHT}
NAME_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_A-Za-z]+")
SIDE = "*"  # stands for the side in a name
SERIES = {"k", "q"}  # next to l and r, these show that the letters are a series, not sides
MAX_LISTED = 10  # keypoints in a message

# The ways in which a name can contain its side. Pairs are made from the first sets of MARKINGS first: they are more certain.
WORD, LETTER, JOINED_WORD, JOINED_CAPITAL, JOINED_LETTER = range(5)
MARKINGS = ({WORD}, {LETTER}, {WORD, LETTER}, {JOINED_WORD}, {JOINED_CAPITAL}, {JOINED_LETTER})
MIN_JOINED = 2  # `lhip` and `rhip` are a pair if there are at least this many such pairs: `lip` and `rip` alone are not

Key = tuple[str, ...]


def _symmetric(first: int, last: int, count: int) -> Pairs:
    """`count` pairs from both ends of a row of landmarks towards its middle."""
    return tuple((first + step, last - step) for step in range(count))


# Face markups as the official code mirrors them: 68 landmarks of 300W, 98 of WFLW, 29 of COFW, 19 of AFLW.
FACE_PAIRS: dict[int, Pairs] = {
    68: (
        *_symmetric(0, 16, 8), *_symmetric(17, 26, 5), *_symmetric(36, 45, 4), (40, 47), (41, 46), (31, 35), (32, 34),
        *_symmetric(48, 54, 3), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67),
    ),
    98: (
        *_symmetric(0, 32, 16), *_symmetric(33, 46, 5), *_symmetric(38, 50, 4), *_symmetric(60, 72, 5), (65, 75), (66, 74),
        (67, 73), (55, 59), (56, 58), *_symmetric(76, 82, 3), (83, 87), (84, 86), (88, 92), (89, 91), (93, 95), (96, 97),
    ),
    29: ((0, 1), (4, 6), (2, 3), (5, 7), (8, 9), (10, 11), (12, 14), (16, 17), (13, 15), (18, 19), (22, 23)),
    19: ((0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9), (12, 14), (15, 17)),
}  # fmt: skip


def pairs_by_name(names: Sequence[str]) -> Pairs:
    """Find the pairs (left, right) of keypoints by their names.

    Args:
        names: The names of the keypoints (K,).

    Returns:
        Pairs of indices, sorted. A keypoint is in one pair at most.

    Example:
        >>> pairs_by_name(["nose", "left_eye", "right_eye"])
        ((1, 2),)
    """
    pairs: dict[int, int] = {}
    marked = [list(_sides(name)) for name in names]
    for markings in MARKINGS:
        groups: dict[Key, dict[str, list[int]]] = defaultdict(lambda: {LEFT: [], RIGHT: []})
        for index, sides in enumerate(marked):
            for marking, key, side in sides:
                if marking in markings:
                    groups[key][side].append(index)
        new: dict[int, int] = {}
        paired = {*pairs, *pairs.values()}
        for key, indices in groups.items():
            left, right = ([index for index in indices[side] if index not in paired] for side in (LEFT, RIGHT))
            if len(left) == len(right) == 1 and not (LETTER in markings and _is_series(key, names)):
                new[left[0]] = right[0]
                paired |= {left[0], right[0]}
        if JOINED_LETTER not in markings or len(new) >= MIN_JOINED:
            pairs |= new
    return tuple(sorted(pairs.items()))


def sided_without_pair(names: Sequence[str], paired: Collection[int]) -> tuple[str, ...]:
    """The keypoints whose names have a word or letter for a side, but that are in no pair.

    Args:
        names: The names of the keypoints (K,).
        paired: Indices of the keypoints that are in pairs.

    Example:
        >>> sided_without_pair(["nose", "left_eye", "right_eye", "left_ear"], {1, 2})
        ('left_ear',)
    """
    marked = {index for index, name in enumerate(names) for marking, _, _ in _sides(name) if marking in (WORD, LETTER)}
    return tuple(names[index] for index in sorted(marked - set(paired)))


def words_without_side(name: str) -> tuple[str, ...]:
    """The words of a keypoint's name in lower case, without its side: ("hip",) for `LHip`, `left_hip` and `hipL`."""
    words = []
    for word in map(str.lower, NAME_WORDS.findall(name)):
        if word not in WORDS and word not in SHORT:
            words.append(next((rest.replace(SIDE, "") for _, rest in _joined(word)), word))
    return tuple(words)


def parse_flip_pairs(text: str, names: Sequence[str]) -> Pairs:
    """Read pairs as a user types them.

    Args:
        text: Pairs such as "a:b,2:5" (names, or indices from 0), or "none".
        names: The names of the keypoints.

    Raises:
        HRNetError: An entry is not a pair of keypoints, or a keypoint is in two pairs.

    Example:
        >>> parse_flip_pairs("near:far", ["nose", "near", "far"])
        ((1, 2),)
    """
    if text.strip().lower() == NONE:
        return ()
    entries = [entry.split(":") for entry in text.split(",")]
    wrong = next((entry for entry in entries if len(entry) != 2), None)
    if wrong is not None:
        raise HRNetError(f"`flip_pairs` takes pairs such as {EXAMPLE}, or {NONE}; got {':'.join(wrong)!r} in {text!r}")
    return check_pairs([[name.strip() for name in entry] for entry in entries], names, f"`flip_pairs` {text}")


def check_pairs(entries: object, names: Sequence[str], where: str) -> Pairs:
    """Convert pairs of names or indices to pairs of indices.

    Args:
        entries: The pairs, as JSON holds them.
        names: The names of the keypoints.
        where: Beginning of messages.

    Raises:
        HRNetError: An entry is not a pair of keypoints, or a keypoint is in two pairs.
    """
    if not isinstance(entries, list | tuple) or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in entries):
        raise HRNetError(f"{where}: expected a list of pairs of keypoints, got {brief(entries)}")
    pairs = tuple((keypoint_index(first, names, where), keypoint_index(second, names, where)) for first, second in entries)
    seen: set[int] = set()
    for index in (index for pair in pairs for index in pair):
        if index in seen:
            raise HRNetError(f"{where}: {names[index]} occurs twice; a keypoint has one mirror image")
        seen.add(index)
    return pairs


def keypoint_index(entry: object, names: Sequence[str], where: str) -> int:
    """Return the index of a keypoint.

    Args:
        entry: Its name, or its index from 0.
        names: The names of the keypoints.
        where: Beginning of the message.

    Raises:
        HRNetError: There is no such keypoint.
    """
    if isinstance(entry, str) and entry in names:
        return list(names).index(entry)
    index = int(str(entry)) if str(entry).isdecimal() else -1
    if isinstance(entry, bool) or not 0 <= index < len(names):
        known = ", ".join(names[:MAX_LISTED]) + (", ..." if len(names) > MAX_LISTED else "")
        raise HRNetError(f"{where}: {entry!r} is neither a keypoint ({known}) nor an index from 0 to {len(names) - 1}")
    return index


def resolve_flip_pairs(text: str, known: Pairs | None, names: Sequence[str]) -> Pairs | None:
    """Combine the pairs that a user types with the known ones.

    Args:
        text: "auto" for the known pairs, or see `parse_flip_pairs`. Typed pairs replace known pairs of the same keypoints.
        known: The known pairs; None if they are not known.
        names: The names of the keypoints.
    """
    if text.strip().lower() == AUTO:
        return known
    typed = parse_flip_pairs(text, names)
    if not typed:
        return ()
    keypoints = {index for pair in typed for index in pair}
    return tuple(sorted((*typed, *(pair for pair in known or () if not keypoints & set(pair)))))


def unknown_pairs_message(names: Sequence[str]) -> str:
    """The error message if images are to be mirrored and the pairs are not known."""
    first = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return (
        f"it is not known which of the {len(names)} keypoints ({first}) are left and right: set `flip_pairs` {EXAMPLE} (names, "
        f"or indices from 0), or `flip_pairs` {NONE} if the object has no sides"
    )


def _sides(name: str) -> Iterator[tuple[int, Key, str]]:
    """Every way in which a name can contain its side: the marking, the words with SIDE in its place, and the side."""
    words = NAME_WORDS.findall(name)
    lower = [word.lower() for word in words]
    for place, (word, low) in enumerate(zip(words, lower, strict=True)):
        before, after = lower[:place], lower[place + 1 :]
        if low in WORDS:
            yield WORD, (*before, SIDE, *after), WORDS[low]
        elif low in SHORT:
            yield LETTER, (*before, SIDE, *after), SHORT[low]
        else:
            yield from ((JOINED_WORD, (*before, rest, *after), side) for side, rest in _joined(low))
            if len(low) > 1 and low[0] in SHORT:
                has_one_case = word.islower() or word.isupper()
                yield JOINED_LETTER if has_one_case else JOINED_CAPITAL, (*before, SIDE + low[1:], *after), SHORT[low[0]]


def _joined(word: str) -> Iterator[tuple[str, str]]:
    """Side and rest of words such as `leftear` and `earleft`, with SIDE in the place of the side."""
    for side in (LEFT, RIGHT):
        if word != side and word.startswith(side):
            yield side, SIDE + word.removeprefix(side)
        elif word != side and word.endswith(side):
            yield side, word.removesuffix(side) + SIDE


def _is_series(key: Key, names: Sequence[str]) -> bool:
    """Whether l and r belong to a series such as `point_a`, `point_b`, ... and are not sides."""
    place = key.index(SIDE)
    split = (tuple(map(str.lower, NAME_WORDS.findall(name))) for name in names)
    return {words[place] for words in split if (*words[:place], SIDE, *words[place + 1 :]) == key} >= SERIES
