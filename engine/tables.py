"""Files that people write, and tables of them, into dataclasses whose fields have rules; each refusal is one sentence.

It names file, key, value and cure; the value of a key that nobody knows is not repeated, because it may be a secret
that was put in the wrong place.
"""

import dataclasses
import difflib
import os
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from .rules import MAX_SHOWN_CHARACTERS, ConfigError, may_hold_a_secret, shown

MAX_FILE_BYTES: Final = 64 * 1024
USER_VARIABLE: Final = "PROJECT_X_USERNAME"
KEY_VARIABLE: Final = "PROJECT_X_API_KEY"

Table = TypeVar("Table")


def read_table(kind: type[Table], value: object, source: str, prefix: str, **fixed: str) -> Table:
    """A dataclass of rules from a table of plain values, with `fixed` fields that come from elsewhere."""
    table = table_of(value, source, prefix)
    rules = {
        entry.name: (entry.metadata["rule"], _default(entry))
        for entry in dataclasses.fields(kind)  # type: ignore[arg-type]
        if "rule" in entry.metadata
    }
    refuse_unknown(table, rules, source, prefix)
    for key, given in table.items():
        rule, default = rules[key]
        if not rule.holds(given):
            if rule.is_address and may_hold_a_secret(given):
                raise ConfigError(
                    f"{source}: {prefix}{key} has a user name, a password, a query or a fragment in it, so it is not"
                    f" shown: leave that out, and set {USER_VARIABLE} and {KEY_VARIABLE} in the environment"
                )
            why = f" ({said})" if (said := rule.why(given)) else ""
            raise ConfigError(
                f"{source}: {prefix}{key} is {shown(given)}, but it must be {rule.must}{why}:"
                f" correct it, or leave it out for {shown(default)}"
            )
    return kind(**fixed, **table)


def _default(entry: dataclasses.Field[Any]) -> object:
    return entry.default if entry.default_factory is dataclasses.MISSING else entry.default_factory()


def read_toml(path: Path, cure: str) -> dict[str, Any]:
    """The table in a file. What is no ordinary file is not read: a pipe would be waited for, a device never ends."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"{path}: is no ordinary file: {cure}")
            data = file.read(MAX_FILE_BYTES + 1)
    except IsADirectoryError:  # of open(), which looks at what it is given
        raise ConfigError(f"{path}: is no ordinary file: {cure}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}): {cure}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: is longer than {MAX_FILE_BYTES} bytes: this is no settings file of ours")
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error) or "too deeply nested"
        raise ConfigError(f"{path}: is not TOML ({reason[:MAX_SHOWN_CHARACTERS]}): correct that line") from None


def table_of(value: object, source: str, prefix: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        key = prefix.rstrip(".") or "it"
        raise ConfigError(f"{source}: {key} is {shown(value)}, but it must be a table: write [{key}] above its keys")
    return value


def refuse_unknown(table: Mapping[str, Any], known: Iterable[str], source: str, prefix: str) -> None:
    names = list(known)
    for key in table:
        if key not in names:
            if re.search("key|token|password|secret", key, re.IGNORECASE):
                cure = f"secrets are in no file, set {USER_VARIABLE} and {KEY_VARIABLE} in the environment"
            else:
                cure = near_names(key, names) or f"the keys are {', '.join(names)}"
            raise ConfigError(f"{source}: {shown(prefix + key)} is no key that exists: {cure}")


def near_names(word: str, known: Iterable[str]) -> str:
    lower = {name.lower(): name for name in known}
    near = [lower[name] for name in difflib.get_close_matches(word.lower()[:64], lower, n=3, cutoff=0.5)]
    return f"did you mean {' or '.join(near)}" if near else ""


def listed(numbers: Iterable[int]) -> str:
    """`0, 1, 2, 3`; no more of it than a sentence can bear."""
    listed = ", ".join(str(number) for number in sorted(numbers))
    return listed if len(listed) <= MAX_SHOWN_CHARACTERS else f"{listed[:MAX_SHOWN_CHARACTERS]}…"
