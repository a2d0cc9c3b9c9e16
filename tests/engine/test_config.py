"""engine/config.py: what is taken, what is refused, and in which words."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.config import (
    Credentials,
    FeedSettings,
    HttpSettings,
    Settings,
    SymbolSettings,
    VenueSettings,
    credentials,
    load,
    load_symbols,
)
from engine.rules import ConfigError
from engine.tables import KEY_VARIABLE, MAX_FILE_BYTES, USER_VARIABLE


def refusal(folder: Path, text: str, name: str = "MNQ.toml") -> str:
    """The sentence that a symbol file with this text is refused with."""
    (folder / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_symbols(folder)
    return str(caught.value)


def engine_refusal(folder: Path, text: str, **arguments: Any) -> str:
    file = folder / "engine.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, **arguments)
    return str(caught.value)


def test_the_shipped_symbols_are_six_and_need_no_argument() -> None:
    assert [symbol.symbol for symbol in load().symbols] == ["CL", "ES", "GC", "MES", "MNQ", "NQ"]


def test_the_shipped_comment_names_every_key_and_its_default() -> None:
    text = (Path(__file__).parents[2] / "workers" / "symbols" / "ES.toml").read_text()
    shipped = SymbolSettings("X")
    for entry in dataclasses.fields(SymbolSettings)[1:]:
        assert f"# {entry.name} = {json.dumps(getattr(shipped, entry.name))} " in text


def test_symbols_come_in_the_order_that_was_asked_for() -> None:
    assert [symbol.symbol for symbol in load(symbols=["NQ", "ES"]).symbols] == ["NQ", "ES"]


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "X.toml").write_text("levels = 10\nmax_depth = 20")
    assert load_symbols(tmp_path) == (SymbolSettings("X", levels=10, max_depth=20),)
    (tmp_path / "engine.toml").write_text('[feed]\nping_interval_ms = 500\ndeflate = true\n[venue]\nname = "projectx"')
    loaded = load(tmp_path / "engine.toml")
    assert loaded.feed == FeedSettings(ping_interval_ms=500, deflate=True)
    assert loaded.http == HttpSettings()
    assert loaded.venue.api_url == "https://api.topstepx.com/api"


def test_what_a_key_that_does_not_exist_is_answered_with(tmp_path: Path) -> None:
    assert refusal(tmp_path, "level = 3") == f"{tmp_path}/MNQ.toml: 'level' is no key that exists: did you mean levels"
    assert "the keys are contract, levels" in refusal(tmp_path, "zzzzzz = 3")


def test_what_a_value_out_of_bounds_is_answered_with(tmp_path: Path) -> None:
    assert refusal(tmp_path, "levels = 0") == (
        f"{tmp_path}/MNQ.toml: levels is 0, but it must be a whole number from 1 to 1024:"
        " correct it, or leave it out for 64"
    )


@pytest.mark.parametrize("value", ["-1", "1e3", '"4"', "true", "[4]", "1979-05-27", "nan", "3"])
def test_a_ring_is_a_power_of_two(tmp_path: Path, value: str) -> None:
    assert "ring_mib is" in refusal(tmp_path, f"ring_mib = {value}")


@pytest.mark.parametrize("key", [entry.name for entry in dataclasses.fields(SymbolSettings) if entry.type is int])
def test_bounds_are_where_the_rule_says(tmp_path: Path, key: str) -> None:
    rule = next(entry.metadata["rule"] for entry in dataclasses.fields(SymbolSettings) if entry.name == key)
    low, high = (int(word) for word in rule.must.split() if word.removeprefix("-").isdigit())
    assert [rule.holds(value) for value in (low - 1, low, high, high + 1)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ('["1s", "7s"]', "('7s': '7sec' does not divide a day"),
        ('["2d"]', "('2d': '2day' cannot be: days, weeks and months come one at a time)"),
        ('["1m", "1min"]', "('1min' is there twice)"),
        ('["1m", "minute"]', "('minute': 'minute' is no timeframe: write a number and"),
    ],
)
def test_the_timeframe_that_is_none_is_named_and_why(tmp_path: Path, value: str, why: str) -> None:
    assert why in refusal(tmp_path, f"timeframes = {value}")


@pytest.mark.parametrize("value", ['"1m"', '["1m", "60"]', '["7m"]', '["1m", "1min"]', "[1]", str(["1s"] * 33)])
def test_timeframes_that_are_none(tmp_path: Path, value: str) -> None:
    assert "timeframes is" in refusal(tmp_path, f"timeframes = {value}")


@pytest.mark.parametrize("value", ['{"1d" = "flat"}', '{"9tick" = "flat"}', '{"1m" = "zero"}', '{x = "flat"}', "[]"])
def test_what_becomes_of_empty_bars_is_said_for_those_that_the_clock_cuts(tmp_path: Path, value: str) -> None:
    assert "empty_bars is" in refusal(tmp_path, f"empty_bars = {value}")


def test_empty_bars_of_a_timeframe_that_is_not_wanted(tmp_path: Path) -> None:
    assert "empty_bars has '15m', but timeframes has not" in refusal(tmp_path, 'empty_bars = {"15m" = "flat"}')


@pytest.mark.parametrize("key", ["keep_days", "keep_rows", "keep_mib"])
@pytest.mark.parametrize("value", ['{"1m" = 0}', '{"1d" = "30"}', "{x = 1}", '{"1m" = 1, "1min" = 2}', "[]"])
def test_limits_of_bars_on_disk_are_whole_numbers_by_timeframe(tmp_path: Path, key: str, value: str) -> None:
    assert f"{key} is" in refusal(tmp_path, f"{key} = {value}")
    assert f"{key} has '15m', but timeframes has not" in refusal(tmp_path, f'{key} = {{"15m" = 9}}')


def test_bars_come_to_the_worker_in_one_name_each(tmp_path: Path) -> None:
    (tmp_path / "X.toml").write_text('timeframes = ["1sec", "5m", "1d"]\nempty_bars = {"5min" = "marked"}')
    (settings,) = load_symbols(tmp_path)
    assert settings.bars == "1sec 5min=marked 1day"


def test_what_is_no_ordinary_file_is_not_waited_for(tmp_path: Path) -> None:
    for name in ("pipe", "MNQ.toml"):
        os.mkfifo(tmp_path / name)
    for attempt in (lambda: load(tmp_path / "pipe"), lambda: load(Path("/dev/zero")), lambda: load_symbols(tmp_path)):
        with pytest.raises(ConfigError, match="is no ordinary file"):
            attempt()


def test_fewer_levels_than_are_kept(tmp_path: Path) -> None:
    assert "levels is 64, but it must not be above max_depth, which is 32" in refusal(tmp_path, "max_depth = 32")


def test_a_calendar_that_is_none_is_answered_with_near_names(tmp_path: Path) -> None:
    assert refusal(tmp_path, 'calendar = "CME_Equty"') == (
        f"{tmp_path}/MNQ.toml: calendar is 'CME_Equty', but there is none of that name: did you mean CME_Equity or"
        " CME_Rate or CME_Crypto, or leave it out for the one of its symbol"
    )
    assert "there are 24/7, CME_Equity, CMEGlobex_Metals" in refusal(tmp_path, 'calendar = "zzzzzz"')
    assert "calendar is" in refusal(tmp_path, "calendar = 7")
    (tmp_path / "MNQ.toml").write_text('calendar = "24/7"')
    assert load_symbols(tmp_path)[0].calendar == "24/7"


@pytest.mark.parametrize("contract", ["", "MNQ", "CON.F.US.MNQ.A26", "CON.F.US.MNQ.Z2026", 'CON.F.US."', 7])
def test_contracts_that_are_none(tmp_path: Path, contract: object) -> None:
    assert "contract is" in refusal(tmp_path, f"contract = {json.dumps(contract)}")


def test_one_contract_twice(tmp_path: Path) -> None:
    (tmp_path / "A.toml").write_text('contract = "CON.F.US.MNQ.Z26"')
    assert "CON.F.US.MNQ.Z26 is there twice" in refusal(tmp_path, 'contract = "CON.F.US.MNQ.Z26"')


def folder_of(folder: Path, **files: str) -> Path:
    for symbol, text in files.items():
        (folder / f"{symbol}.toml").write_text(text)
    return folder


def test_instruments_share_a_process_and_its_cpu(tmp_path: Path) -> None:
    cpu = min(os.sched_getaffinity(0))
    pinned, other, alone = load_symbols(
        folder_of(tmp_path, A=f'process = "quiet"\ncpu = {cpu}', B='process = "quiet"', C="")
    )
    assert (pinned.worker, other.worker, alone.worker) == ("quiet", "quiet", "C")
    assert (pinned.cpu, other.cpu, alone.cpu) == (cpu, -1, -1)


@pytest.mark.parametrize("name", ["a b", "../x", ".x", "x" * 33, "ü"])
def test_a_process_name_becomes_a_file_name(tmp_path: Path, name: str) -> None:
    assert "process is" in refusal(tmp_path, f"process = {json.dumps(name)}")


def test_a_cpu_that_this_machine_does_not_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 0})
    assert refusal(tmp_path, "cpu = 1") == (
        f"{tmp_path}/MNQ.toml: cpu is 1, but it must be one that this machine lets us use, of 0, 3:"
        " correct it, or leave it out for -1, which is anywhere"
    )
    (tmp_path / "MNQ.toml").write_text("cpu = 3")
    given = load(symbols_dir=tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    assert Settings.from_json(given.to_json()).symbols[0].cpu == 3, "who is given settings goes on without the CPU"


def test_two_cpus_for_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    text = 'process = "quiet"\ncpu = '
    assert "cpu is 0 for A and 1 for MNQ, but both are in process quiet" in refusal(
        folder_of(tmp_path, A=text + "0"), text + "1"
    )


def test_a_process_named_as_an_instrument_that_is_not_in_it(tmp_path: Path) -> None:
    text = 'process = "A"'
    for other in ("", 'process = "quiet"'):
        assert "MNQ's process is A, but so is called an instrument that does not share it" in refusal(
            folder_of(tmp_path, A=other), text
        )
    (tmp_path / "A.toml").write_text(text)
    assert [settings.worker for settings in load_symbols(tmp_path)] == ["A", "A"]


@pytest.mark.parametrize("name", ["engine", "simulator"])
def test_a_process_named_as_another_part_of_the_engine(tmp_path: Path, name: str) -> None:
    assert f"MNQ's process is {name}, which is the engine's" in refusal(tmp_path, f'process = "{name}"')


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "is not TOML" in refusal(tmp_path, "levels = ")
    assert "is longer than" in refusal(tmp_path, "#" * (MAX_FILE_BYTES + 1))
    (tmp_path / "MNQ.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_symbols(tmp_path)
    (tmp_path / "MNQ.toml").write_text("a = " + "[" * 5000)
    with pytest.raises(ConfigError, match="is not TOML"):
        load_symbols(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot be read \(No such file or directory\): give --config"):
        load(tmp_path / "absent.toml")
    (tmp_path / "MNQ.toml").unlink()
    assert "keeper cannot be a symbol" in refusal(tmp_path, "", name="keeper.toml")
    assert "'a b' cannot be a symbol" in refusal(tmp_path, "", name="a b.toml")


def test_folders_that_hold_no_symbols(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ConfigError, match=r"no symbol file .* --symbols-dir"):
            load_symbols(folder)


def test_an_unknown_symbol_is_answered_with_near_ones() -> None:
    with pytest.raises(ConfigError, match=r"no symbol 'MNW': did you mean MNQ"):
        load(symbols=["MNW"])
    with pytest.raises(ConfigError, match=r"no symbol 'zzzzz': there are CL, ES"):
        load(symbols=["zzzzz"])
    with pytest.raises(ConfigError, match="there must be 1 to"):
        load(symbols=[])
    with pytest.raises(ConfigError, match="symbol ES is there twice"):
        load(symbols=["ES", "ES"])


def test_tables_that_are_none_or_unknown(tmp_path: Path) -> None:
    assert "'http' " not in engine_refusal(tmp_path, "[htp]")
    assert "'htp' is no key that exists: did you mean http" in engine_refusal(tmp_path, "[htp]")
    assert "http is 3, but it must be a table: write [http]" in engine_refusal(tmp_path, "http = 3")
    assert "http.max_connections is 201" in engine_refusal(tmp_path, "[http]\nmax_connections = 201")
    assert "http.max_connections_per_host is 51" in engine_refusal(tmp_path, "[http]\nmax_connections_per_host = 51")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.topstepx.com",
        "https://h:99999",
        "ftp://h",
        "https://",
        "https://h/ x",
    ],
)
def test_addresses_that_are_none(tmp_path: Path, url: str) -> None:
    assert "venue.api_url is" in engine_refusal(tmp_path, f'[venue]\nname = "projectx"\napi_url = "{url}"')
    assert "venue.market_hub_url" in engine_refusal(tmp_path, f'[venue]\nname = "projectx"\nmarket_hub_url = "{url}"')


@pytest.mark.parametrize("key", ["api_url", "market_hub_url", "user_hub_url"])
@pytest.mark.parametrize(
    "url", ["https://u:canary@h", "https://canary@h", "https://h?access_token=canary", "wss://h#canary"]
)
def test_addresses_with_a_secret_in_them_are_not_repeated(tmp_path: Path, key: str, url: str) -> None:
    said = engine_refusal(tmp_path, f'[venue]\nname = "projectx"\n{key} = "{url}"')
    assert f"venue.{key} has a user name, a password, a query or a fragment in it" in said
    assert KEY_VARIABLE in said
    assert "canary" not in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[feed]\nsocket_silence_ms = 400\nping_interval_ms = 400",
            "feed.ping_interval_ms is 400, but it must be below",
        ),
        ("[feed]\nsocket_silence_ms = 400", "feed.ping_interval_ms is 10000, but it must be below"),
        ("[feed]\nbackoff_max_ms = 99", "feed.backoff_first_ms is 100, but it must not be above feed.backoff_max_ms"),
        ("[http]\nmax_connections = 9", "http.max_connections_per_host is 50, but it must not be above http.max_conn"),
    ],
)
def test_settings_that_contradict_each_other(tmp_path: Path, text: str, said: str) -> None:
    assert said in engine_refusal(tmp_path, text)
    given = load().to_json()
    given["http"]["max_connections"] = 9
    with pytest.raises(ConfigError, match="max_connections_per_host is 50"):
        Settings.from_json(given)


def test_plain_addresses_are_for_this_machine(tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text('[venue]\nname = "projectx"\nmarket_hub_url = "ws://127.0.0.1:9/hubs/market"')
    assert load(tmp_path / "e.toml").venue.market_hub_url == "ws://127.0.0.1:9/hubs/market"


def test_a_token_goes_to_no_other_host_than_its_own(tmp_path: Path) -> None:
    own = '[venue]\nname = "projectx"\napi_url = "https://h/api"\n'
    market, user = 'market_hub_url = "https://h/hubs/market"\n', 'user_hub_url = "https://h/hubs/user"\n'
    refusal = engine_refusal(tmp_path, own + user)
    assert "venue.api_url is 'https://h/api', but venue.market_hub_url is not set" in refusal
    assert "token would go to rtc.topstepx.com: set venue.market_hub_url too" in refusal
    assert "venue.user_hub_url is not set" in engine_refusal(tmp_path, own + market + "account = true")
    (tmp_path / "e.toml").write_text(own + market)
    assert load(tmp_path / "e.toml").venue.user_hub_url == ""  # nobody goes there
    (tmp_path / "e.toml").write_text(own + market + user + "account = true")
    assert load(tmp_path / "e.toml").venue.user_hub_url == "https://h/hubs/user"
    (tmp_path / "e.toml").write_text(own.replace("https://h/api", "https://api.topstepx.com/api"))
    assert load(tmp_path / "e.toml").venue.market_hub_url == "https://rtc.topstepx.com/hubs/market"


def test_the_simulator_takes_no_address_until_it_runs(tmp_path: Path) -> None:
    assert "picks its own address" in engine_refusal(tmp_path, '[venue]\napi_url = "https://h/api"')
    found = load().at_simulator("http://127.0.0.1:5000", "someone")
    assert found.venue == VenueSettings(
        name="simulator",
        api_url="http://127.0.0.1:5000/api",
        market_hub_url="http://127.0.0.1:5000/hubs/market",
        user_hub_url="http://127.0.0.1:5000/hubs/user",
        user_name="someone",
    )
    assert Settings.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_an_account_is_viewed_when_the_file_says_so(tmp_path: Path) -> None:
    assert not load().venue.account
    (tmp_path / "e.toml").write_text('[venue]\nname = "projectx"\naccount = true\naccount_name = "PRAC-1"')
    venue = load(tmp_path / "e.toml").venue
    assert (venue.account, venue.account_name) == (True, "PRAC-1")
    assert venue.user_hub_url == "https://rtc.topstepx.com/hubs/user"
    assert load(tmp_path / "e.toml", venue="simulator").at_simulator("http://127.0.0.1:1", "me").venue.account
    assert "venue.account is 1, but it must be true or false" in engine_refusal(tmp_path, "[venue]\naccount = 1")
    assert "venue.account is not true" in engine_refusal(tmp_path, '[venue]\naccount_name = "PRAC-1"')
    wrong = '[venue]\nuser_hub_url = "https://h/hubs/user"'
    assert "the simulator picks its own address" in engine_refusal(tmp_path, wrong)
    assert "user_hub_url is" in engine_refusal(tmp_path, '[venue]\nuser_hub_url = "http://rtc.topstepx.com"')


def test_an_argument_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text('[venue]\nname = "projectx"')
    assert load(tmp_path / "e.toml", venue="simulator").venue.name == "simulator"
    with pytest.raises(ConfigError, match=r"venue\.name is 'binance', but it must be \"simulator\" or \"projectx\""):
        load(venue="binance")
    with pytest.raises(ConfigError, match=r"name is '\.\./x'"):
        load(name="../x")


def test_folders_come_from_the_environment() -> None:
    loaded = load(environ={"XDG_DATA_HOME": "/d", "SHARDBOOK_SHM": "/s"})
    assert (loaded.data_folder, loaded.shm_root) == (Path("/d/shardbook"), Path("/s"))
    assert load(data_dir=Path("/x"), environ={}).data_folder == Path("/x")
    assert load(environ={"HOME": "/h"}).data_folder == Path("/h/.local/share/shardbook")


def test_a_secret_in_a_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    sentence = engine_refusal(tmp_path, '[venue]\napi_key = "canary-0123456789"')
    assert "canary" not in sentence
    assert f"set {USER_VARIABLE} and {KEY_VARIABLE} in the environment" in sentence


def test_credentials_come_from_the_environment_and_hide_the_key() -> None:
    user = credentials(VenueSettings(), {USER_VARIABLE: "me", KEY_VARIABLE: "canary"})
    assert user == Credentials("me", "canary")
    assert "canary" not in repr(user)
    assert credentials(VenueSettings(user_name="you"), {KEY_VARIABLE: "k"}).user_name == "you"


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({}, USER_VARIABLE),
        ({USER_VARIABLE: "me"}, KEY_VARIABLE),
        ({USER_VARIABLE: "me", KEY_VARIABLE: "a\nb"}, KEY_VARIABLE),
    ],
)
def test_credentials_that_are_not_there(environ: dict[str, str], variable: str) -> None:
    with pytest.raises(ConfigError, match=variable) as caught:
        credentials(VenueSettings(), environ)
    assert "a\nb" not in str(caught.value)


KEYS = [
    *(("symbol", entry.name) for entry in dataclasses.fields(SymbolSettings) if "rule" in entry.metadata),
    *(
        (table, entry.name)
        for table, kind in Settings.TABLES.items()
        for entry in dataclasses.fields(kind)
        if "rule" in entry.metadata
    ),
]
FLAGS = {
    entry.name for kind in Settings.TABLES.values() for entry in dataclasses.fields(kind) if type(entry.default) is bool
}
NAMED = {entry.name for entry in dataclasses.fields(SymbolSettings) if entry.default_factory is dict}
WRONG: st.SearchStrategy[object] = st.one_of(
    st.sampled_from([-2, 2**70, 1.5, True, None, [], {}, "\x00", "no\nsuch", "x" * 10_000]),
    st.lists(st.integers(), min_size=1, max_size=3),
)


@given(key=st.sampled_from(KEYS), value=WRONG)
@settings(max_examples=300, deadline=None)
def test_any_corrupted_key_is_refused_by_file_and_name(key: tuple[str, str], value: object) -> None:
    table, name = key
    assume(value is not True or name not in FLAGS)
    assume((name, value) != ("timeframes", []))  # no bars at all
    assume(value != {} or name not in NAMED)  # nothing said of any
    document = load().to_json()
    document["symbols"] = document["symbols"][:1]
    (document["symbols"][0] if table == "symbol" else document[table])[name] = value
    with pytest.raises(ConfigError) as caught:
        Settings.from_json(document, "some file")
    sentence = str(caught.value)
    assert sentence.startswith("some file: ")
    assert name in sentence
    assert "\n" not in sentence
    assert len(sentence) < 500


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda kids: (
            st.lists(kids, max_size=3)
            | st.dictionaries(
                st.sampled_from(["name", "symbols", "venue", "feed", "http", "shm_root", "data_folder"]), kids
            )
        ),
    )
)
@settings(max_examples=200, deadline=None)
def test_any_json_is_taken_or_refused(value: object) -> None:
    try:
        Settings.from_json(value)
    except ConfigError:
        return


def test_settings_survive_json() -> None:
    loaded = load(symbols=["ES", "CL"], name="other", venue="projectx")
    assert Settings.from_json(json.loads(json.dumps(loaded.to_json()))) == loaded
