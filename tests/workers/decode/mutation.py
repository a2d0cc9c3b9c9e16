"""Mutations of good hub messages, from a seed: by what the JSON says, by how it is written, and by its bytes.

A message is taken apart into objects, lists and the text of each scalar, so that what no library would write can be
written: keys twice, numbers in any spelling, literals that JSON does not have. Most mutants are still JSON; then
comes, at times, a wound that knows nothing of JSON.
"""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

MAX_BYTES = 1 << 16
DEEP = (3, 40, 300, 1500, 20_000)  # not near the thousand where parsers differ in what is too deep

# What a scanner may trip over: put in, or in the place of something.
SPLINTERS = (
    *(b"\0", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\n", b"-", b"+", b".", b"e5", b"E", b"0", b"00"),
    *(b"9" * 15, b"9" * 30, b"1e999", b"null", b"true", b"false", b"NaN", b'"type":2', b'"price":1', b'"volume":0'),
    *(b"\xff", b"\xc3\xa4", b"\x7f", b"\x1f", b"\xef\xbb\xbf", b"\\u0065", b"T", b"Z", b"+05:30", b'"timestamp":null'),
    *(b'"lastUpdated":"2026-02-30T00:00:00Z",', b'"target":"GatewayQuote",', b'"arguments":[],', b'"type":1,', b"{}"),
    *(b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"),  # no whole letters
)
NUMBERS = (
    *("0", "-0", "-0.0", "0.0", "1", "-1", "2", "3.0", "11", "6", "7", "0.5", "1e0", "1E+2", "25e-2", "2100025e-2"),
    *("9" * 15, "9" * 16, "9" * 19, "9" * 30, "9" * 400, "0." + "0" * 30 + "1", "1" + "0" * 40 + ".0"),
    *(
        "9223372036.854775807",
        "9223372036.854775808",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
    ),
    *("18446744073709551616", "1e308", "1e309", "-1e309", "5e-324", "1e-400", "1e18446744073709551616", "0e9999"),
)
WRONG_NUMBERS = (
    "NaN",
    "-NaN",
    "Infinity",
    "-Infinity",
    "01",
    "-01",
    "1.",
    ".5",
    "+1",
    "0x10",
    "1e",
    "1e+",
    "--1",
    "1_0",
    "",
)
TEXTS = (
    *(
        '""',
        '"x"',
        '"1"',
        '"21000.25"',
        '"NaN"',
        '"null"',
        '"\\u0031"',
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\ud83d\\ude00"',
    ),
    *('"\\u0000"', '"\\n\\t\\"\\\\\\/"', '"\\x41"', '"\\u12"', '"ä€😀"', '"a\tb"', '"\x7f"', '"' + "y" * 5000 + '"'),
    *(
        '"CON.F.US.MNQ.Z26"',
        '"CON.F.US.EP.Z26"',
        '"GatewayDepth"',
        '"GatewayTrade"',
        '"GatewayQuote"',
        '"GatewayLogout"',
    ),
    *('"2026-11-22T14:33:00.1234567Z"', '"2026-11-22T14:33:60Z"', '"2261-12-31T23:59:59.999999999-23:59"'),
    *(
        '"1970-01-01T00:00:00+00:01"',
        '"0001-01-01T00:00:00"',
        '"2026-11-22T14:33:00.1234567890Z"',
        '"2026-11-22 14:33:00Z"',
    ),
    *('"\uff12\uff10\uff12\uff16-11-22T14:33:00Z"', '"2026-11-22T14:33:00\\u005a"', '"2026-02-29T00:00:00Z"'),
)
OTHERS = ("null", "true", "false", "[]", "{}", "[[]]", '[{"type":2}]', '{"type":6}', "[null]", '{"":{}}', "nul", "True")
KEYS = (
    *(
        '"type"',
        '"target"',
        '"arguments"',
        '"price"',
        '"volume"',
        '"timestamp"',
        '"lastUpdated"',
        '"bestBid"',
        '"lastPrice"',
    ),
    *(
        '"change"',
        '"changePercent"',
        '"open"',
        '"currentVolume"',
        '"invocationId"',
        '"headers"',
        '""',
        '"Type"',
        '"typ"',
    ),
    *(
        '"types"',
        '"t\\u0079pe"',
        '"type\\u0000"',
        '"pric\\u0065"',
        '"ä"',
        '"\\ud800"',
        '"a\\"b"',
        '"' + "k" * 300 + '"',
    ),
)
SPACES = ("", "", "", "", " ", "\n", "\r\n\t ", " " * 40)
NO_SPACES = ("\v", "\u00a0", "/**/", "\0")


class Object(list[list[Any]]):
    """The members of an object in order: [text of the key, value]."""


def parsed(record: bytes) -> Any:
    """A good message as Objects, lists and the texts of scalars."""
    made = json.loads(record, object_pairs_hook=_object, parse_int=_Text, parse_float=_Text)
    return _texts(made)


class _Text(str):
    """The text of a number, as it came."""


def _object(pairs: list[tuple[str, Any]]) -> Object:
    return Object([json.dumps(key), value] for key, value in pairs)


def _texts(value: Any) -> Any:
    if isinstance(value, Object):
        return Object([key, _texts(member)] for key, member in value)
    if isinstance(value, list):
        return [_texts(item) for item in value]
    return str(value) if isinstance(value, _Text) else json.dumps(value)


def written(value: Any, space: Callable[[], str]) -> str:
    """JSON text again; `space` is asked for what stands between two tokens."""
    if isinstance(value, Object):
        members = (f"{space()}{key}{space()}:{space()}{written(member, space)}{space()}" for key, member in value)
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(f"{space()}{written(item, space)}{space()}" for item in value) + "]"
    return str(value)


def mutate(rng: random.Random, record: bytes, other: bytes) -> bytes:
    """A mutant of `record`, at most MAX_BYTES long; a piece of `other` may be in it."""
    if rng.random() < 0.12:
        return damage(rng, record, other)[:MAX_BYTES]
    tree = [parsed(record)]
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
        rng.choice(_MUTATIONS)(rng, tree, other)
    narrow, odd = rng.random() < 0.7, rng.random() < 0.03
    text = written(tree[0], lambda: "" if narrow else rng.choice(NO_SPACES if odd and rng.random() < 0.05 else SPACES))
    mutant = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.05:
        mutant = damage(rng, mutant, other)
    return mutant[:MAX_BYTES]


# ── of what it says: each takes the tree, which stands in a list of one, and changes it ───────────────────────


def _places(tree: list[Any]) -> list[tuple[list[Any], int]]:
    """Where the values are: a list (or the pair of a member) and an index in it."""

    def walk(holder: list[Any], at: int) -> Iterator[tuple[list[Any], int]]:
        yield holder, at
        value = holder[at]
        if isinstance(value, Object):
            for pair in value:
                yield from walk(pair, 1)
        elif isinstance(value, list):
            for i in range(len(value)):
                yield from walk(value, i)

    return list(walk(tree, 0))


def _pick(rng: random.Random, tree: list[Any], kind: type) -> tuple[list[Any], int] | None:
    """The place of a value of exactly this kind, if there is one."""
    fitting = [(holder, at) for holder, at in _places(tree) if type(holder[at]) is kind]
    return rng.choice(fitting) if fitting else None


def _scalar(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.5:
        return rng.choice(NUMBERS)
    if kind < 0.55:
        return rng.choice(WRONG_NUMBERS)
    return rng.choice(TEXTS if kind < 0.85 else OTHERS)


def _another_value(rng: random.Random, tree: list[Any], other: bytes) -> None:
    if place := _pick(rng, tree, str):
        place[0][place[1]] = _scalar(rng)


def _another_spelling(rng: random.Random, tree: list[Any], other: bytes) -> None:
    """The same number, or nearly: an exponent, a sign, decimals."""
    numbers = [(holder, at) for holder, at in _places(tree) if isinstance(holder[at], str) and holder[at][:1].isdigit()]
    if not numbers:
        return
    holder, at = rng.choice(numbers)
    text: str = holder[at]
    digits, _, decimals = text.partition(".")
    holder[at] = rng.choice(
        (
            *(f"{digits}{decimals}e-{len(decimals)}", f"{text}e0", f"{text}E+00", f"-{text}", f"0{text}", f'"{text}"'),
            *(f"{digits}.{decimals}1", f"{digits}.{decimals or 0}000000000", f"{digits}.{decimals or 0}0000000001"),
        )
    )


def _key_twice(rng: random.Random, tree: list[Any], other: bytes) -> None:
    if place := _pick(rng, tree, Object):
        members: Object = place[0][place[1]]
        key = rng.choice(members)[0] if members else rng.choice(KEYS)
        members.insert(rng.randrange(len(members) + 1), [key, _scalar(rng)])


def _another_key(rng: random.Random, tree: list[Any], other: bytes) -> None:
    if (place := _pick(rng, tree, Object)) and (members := place[0][place[1]]):
        rng.choice(members)[0] = rng.choice(KEYS)


def _one_more(rng: random.Random, tree: list[Any], other: bytes) -> None:
    """A member or an item that was not there: also a third argument."""
    if rng.random() < 0.7 and (place := _pick(rng, tree, Object)):
        members = place[0][place[1]]
        members.insert(rng.randrange(len(members) + 1), [rng.choice(KEYS), _scalar(rng)])
    elif place := _pick(rng, tree, list):
        items = place[0][place[1]]
        items.insert(rng.randrange(len(items) + 1), _scalar(rng))


def _one_less(rng: random.Random, tree: list[Any], other: bytes) -> None:
    if (place := _pick(rng, tree, rng.choice((Object, list)))) and (items := place[0][place[1]]):
        items.pop(rng.randrange(len(items)))


def _another_order(rng: random.Random, tree: list[Any], other: bytes) -> None:
    if place := _pick(rng, tree, rng.choice((Object, Object, list))):
        rng.shuffle(place[0][place[1]])


def _wrapped(rng: random.Random, tree: list[Any], other: bytes) -> None:
    """In a list, or far down in lists or objects."""
    holder, at = rng.choice(_places(tree))
    depth = rng.choice((1, 1, 1, *DEEP))
    opened, closed = rng.choice((("[", "]"), ('{"type":', "}"), ('[{"a":', "}]")))
    whole = rng.random() < 0.7
    inner = written(holder[at], str) if depth > 1 else holder[at]
    if depth > 1:
        holder[at] = opened * depth + inner + (closed * depth if whole else "")
    else:
        holder[at] = [inner]


def _unwrapped(rng: random.Random, tree: list[Any], other: bytes) -> None:
    if (place := _pick(rng, tree, list)) and (items := place[0][place[1]]):
        place[0][place[1]] = rng.choice(items)


def _many(rng: random.Random, tree: list[Any], other: bytes) -> None:
    """A list as long as a message may be, or nearly; as text, because nobody changes one of its items afterwards."""
    if (place := _pick(rng, tree, list)) and (items := place[0][place[1]]):
        text = written(rng.choice(items), str)
        most = (MAX_BYTES - 1000) // (len(text) + 1)
        place[0][place[1]] = "[" + ",".join([text] * rng.choice((2, 2, 2, 30, 30, 30, most // 10, most))) + "]"


def _unknown_member(rng: random.Random, tree: list[Any], other: bytes) -> None:
    """What nobody reads, and may be anything."""
    if place := _pick(rng, tree, Object):
        members = place[0][place[1]]
        members.insert(rng.randrange(len(members) + 1), [rng.choice(('"x"', '"currentVolume"', '"ä"')), _scalar(rng)])


def _good_value(rng: random.Random, tree: list[Any], other: bytes) -> None:
    """Another value that the member may have: a type, a size, a price, none."""
    if (place := _pick(rng, tree, Object)) and (members := place[0][place[1]]):
        member = rng.choice(members)
        good = {'"type"': "1 2 3 4 6 7 8 9 10 0 5 11 99", '"volume"': "0 1 0.0 5 5.0 1e2 400 2.5 null"}
        texts = good.get(member[0], "21000.25 0 0.25 21000.1 1e3 -1 0.0000000001 null").split()
        if isinstance(member[1], str) and not member[1].startswith('"'):
            member[1] = rng.choice(texts)


def _in_a_string(rng: random.Random, tree: list[Any], other: bytes) -> None:
    """A whole record as a value's text, or a value as its own."""
    holder, at = rng.choice(_places(tree)[1:] or [(tree, 0)])
    inner = other.decode("utf-8", "replace") if rng.random() < 0.5 else written(holder[at], str)
    holder[at] = json.dumps(inner, ensure_ascii=rng.random() < 0.5)


_MUTATIONS: tuple[Callable[[random.Random, list[Any], bytes], None], ...] = (
    *(_another_value, _another_value, _another_spelling, _another_spelling, _key_twice, _another_key, _one_more),
    *(_one_less, _wrapped, _unwrapped, _many, _in_a_string),
    *(_good_value, _good_value, _good_value, _another_order, _another_order, _unknown_member, _unknown_member),
)


# ── of its bytes ─────────────────────────────────────────────────────────────────────────────────────────


def damage(rng: random.Random, record: bytes, other: bytes) -> bytes:
    """One to four wounds."""
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(record) + 1)
        until = min(len(record), place + rng.choice((0, 1, 1, 2, 8, 40)))
        kind = rng.randrange(6)
        if kind == 0:
            record = record[:place] + rng.choice(SPLINTERS) + record[until:]
        elif kind == 1:
            record = record[:place] + bytes([rng.randrange(256)]) + record[place + 1 :]
        elif kind == 2:
            record = record[:place] + record[until:]
        elif kind == 3:
            record = record[:until] + record[place:]
        elif kind == 4:
            digits = [at for at, byte in enumerate(record) if 48 <= byte <= 57]
            at = rng.choice(digits) if digits else 0
            record = record[:at] + rng.choice((b"0", b"9", b"5", b"1", b"", b"00", b".", b"-1")) + record[at + 1 :]
        else:
            record = record[:place] + other[rng.randrange(len(other)) :]
    return record
