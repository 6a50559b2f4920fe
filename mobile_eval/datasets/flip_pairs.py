"""Which keypoints change places in a mirrored image: by their names, by how many a face has, or as the user says.

A name is split into words, at whatever is no letter or digit and where upper and lower case meet: `left_eye`, `LEFT_EYE`,
`leftEye`, `Left Eye`, `L_eye`, `eyeL`, `LEye` and `forelegL1` all have a word that says the side. Two keypoints are a pair only
where exchanging the side turns the name of one into that of the other, letter case and separators aside.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from mobile_eval.errors import HRNetError

Pairs = tuple[tuple[int, int], ...]

AUTO = "auto"  # pairs that are known without being typed
NONE = "none"  # of an object without sides
EXAMPLE = "nose_a:nose_b,2:5"
LEFT, RIGHT = "left", "right"
WORDS = {"left": LEFT, "right": RIGHT}
SHORT = {"l": LEFT, "r": RIGHT, "lt": LEFT, "rt": RIGHT, "lft": LEFT, "rgt": RIGHT}
NAME_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_A-Za-z]+")
PLACE = "*"  # where the side was in a name
SERIES = {"k", "q"}  # beside l and r these tell a row of letters from sides
# How a name may say its side. What comes first is the stronger sign, and pairs are made by it first.
WORD, LETTER, JOINED_WORD, JOINED_CAPITAL, JOINED_LETTER = range(5)
SIGNS = ({WORD}, {LETTER}, {WORD, LETTER}, {JOINED_WORD}, {JOINED_CAPITAL}, {JOINED_LETTER})
CONVENTION = 2  # `lhip` and `rhip` are a pair where there are so many such pairs: `lip` and `rip` alone are not

Key = tuple[str, ...]


def _facing(first: int, last: int, count: int) -> Pairs:
    """Pairs from both ends of a row of landmarks towards its middle."""
    return tuple((first + step, last - step) for step in range(count))


# Of the markups of faces, as the official code mirrors them: 300W's 68 landmarks, WFLW's 98, COFW's 29, AFLW's 19.
FACE_PAIRS: dict[int, Pairs] = {
    68: (
        *_facing(0, 16, 8), *_facing(17, 26, 5), *_facing(36, 45, 4), (40, 47), (41, 46), (31, 35), (32, 34),
        *_facing(48, 54, 3), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67),
    ),
    98: (
        *_facing(0, 32, 16), *_facing(33, 46, 5), *_facing(38, 50, 4), *_facing(60, 72, 5), (65, 75), (66, 74), (67, 73),
        (55, 59), (56, 58), *_facing(76, 82, 3), (83, 87), (84, 86), (88, 92), (89, 91), (93, 95), (96, 97),
    ),
    29: ((0, 1), (4, 6), (2, 3), (5, 7), (8, 9), (10, 11), (12, 14), (16, 17), (13, 15), (18, 19), (22, 23)),
    19: ((0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9), (12, 14), (15, 17)),
}  # fmt: skip


def pairs_by_name(names: Sequence[str]) -> Pairs:
    """Pairs (left, right) of indices of `names`, in their order; a name is in one pair at most."""
    pairs: dict[int, int] = {}
    signs = [list(_signs(name)) for name in names]
    for kinds in SIGNS:
        groups: dict[Key, dict[str, list[int]]] = defaultdict(lambda: {LEFT: [], RIGHT: []})
        for index, found in enumerate(signs):
            for kind, key, side in found:
                if kind in kinds:
                    groups[key][side].append(index)
        made = {}
        paired = {*pairs, *pairs.values()}
        for key, sides in groups.items():
            left, right = ([index for index in sides[side] if index not in paired] for side in (LEFT, RIGHT))
            if len(left) == len(right) == 1 and not (LETTER in kinds and _is_series(key, names)):
                made[left[0]] = right[0]
                paired |= {left[0], right[0]}
        if JOINED_LETTER not in kinds or len(made) >= CONVENTION:
            pairs |= made
    return tuple(sorted(pairs.items()))


def words_without_side(name: str) -> tuple[str, ...]:
    """The words of a keypoint's name without its side, in lower case: ("hip",) of `LHip`, `left_hip` and `hipL`."""
    kept = []
    for word in map(str.lower, NAME_WORDS.findall(name)):
        if word not in WORDS and word not in SHORT:
            kept.append(next((rest.replace(PLACE, "") for _, rest in _joined(word)), word))
    return tuple(kept)


def parse_flip_pairs(text: str, names: Sequence[str]) -> Pairs:
    """Pairs as a user types them: two names or numbers (from 0) with a colon between, "a:b,2:5", or "none".

    Raises HRNetError for what is no pair of two of the names, and for one that is in two pairs.
    """
    if text.strip().lower() == NONE:
        return ()
    entries = [part.split(":") for part in text.split(",")]
    wrong = next((part for part in entries if len(part) != len((LEFT, RIGHT))), None)
    if wrong is not None:
        raise HRNetError(f"`flip_pairs` takes pairs such as {EXAMPLE}, or {NONE}; got {':'.join(wrong)!r} in {text!r}")
    return check_pairs([[part.strip() for part in entry] for entry in entries], names, f"`flip_pairs` {text}")


def check_pairs(entries: Any, names: Sequence[str], where: str) -> Pairs:
    """Indices of pairs of names or numbers; HRNetError, which begins with `where`, for what is none."""
    if not isinstance(entries, (list, tuple)) or not all(isinstance(one, (list, tuple)) and len(one) == 2 for one in entries):
        raise HRNetError(f"{where}: expected a list of pairs of keypoints, got {entries!r}")
    pairs = tuple((_index(first, names, where), _index(second, names, where)) for first, second in entries)
    seen: set[int] = set()
    for pair in pairs:
        for index in pair:
            if index in seen:
                raise HRNetError(f"{where}: {names[index]} is named twice; a keypoint has one mirror image")
            seen.add(index)
    return pairs


def resolve_flip_pairs(text: str, known: Pairs | None, names: Sequence[str]) -> Pairs | None:
    """The `known` pairs with those that a user typed; what is typed of a keypoint counts. AUTO are the known ones alone."""
    if text.strip().lower() == AUTO:
        return known
    typed = parse_flip_pairs(text, names)
    if not typed:
        return ()
    taken = {index for pair in typed for index in pair}
    return tuple(sorted((*typed, *(pair for pair in known or () if not taken & set(pair)))))


def unknown_pairs_message(names: Sequence[str]) -> str:
    """What to tell a user who asks for mirroring where no pair is known."""
    few = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return (
        f"it is not known which of {len(names)} keypoints ({few}) are left and right, and so how they are mirrored: give "
        f"`flip_pairs` {EXAMPLE} (names or numbers from 0), or `flip_pairs` {NONE} where the object has no sides"
    )


def _index(entry: Any, names: Sequence[str], where: str) -> int:
    if entry in names:
        return list(names).index(entry)
    number = int(entry) if str(entry).isdecimal() else -1
    if isinstance(entry, bool) or not 0 <= number < len(names):
        known = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise HRNetError(f"{where}: {entry!r} is neither a keypoint ({known}) nor a number from 0 to {len(names) - 1}")
    return number


def _signs(name: str) -> Iterator[tuple[int, Key, str]]:
    """Every way in which a name may say its side: how, what the name is without the side, and the side."""
    words = NAME_WORDS.findall(name)
    lower = [word.lower() for word in words]
    for place, (word, low) in enumerate(zip(words, lower, strict=True)):

        def key(rest: str = PLACE, place: int = place) -> Key:
            return (*lower[:place], rest, *lower[place + 1 :])

        if low in WORDS:
            yield WORD, key(), WORDS[low]
        elif low in SHORT:
            yield LETTER, key(), SHORT[low]
        else:
            yield from ((JOINED_WORD, key(rest), side) for side, rest in _joined(low))
            if len(low) > 1 and low[0] in SHORT:
                one_case = word.islower() or word.isupper()
                yield JOINED_LETTER if one_case else JOINED_CAPITAL, key(PLACE + low[1:]), SHORT[low[0]]


def _joined(word: str) -> Iterator[tuple[str, str]]:
    """Side and rest of `leftear` and `earleft`, PLACE where the side was."""
    for side in (LEFT, RIGHT):
        if word != side and word.startswith(side):
            yield side, PLACE + word.removeprefix(side)
        elif word != side and word.endswith(side):
            yield side, word.removesuffix(side) + PLACE


def _is_series(key: Key, names: Sequence[str]) -> bool:
    """Whether l and r are letters of a row such as `point_a`, `point_b`, ... and no sides."""
    place = key.index(PLACE)
    others = (tuple(map(str.lower, NAME_WORDS.findall(name))) for name in names)
    return {other[place] for other in others if (*other[:place], PLACE, *other[place + 1 :]) == key} >= SERIES
