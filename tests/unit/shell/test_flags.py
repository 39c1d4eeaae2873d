"""Flags of `headgate shell`, parsed as by Go's flag package."""

import pytest

from headgate_shell.go_flags import FlagError, Value, parse_flags

DEFAULTS: dict[str, Value] = {"host": "localhost", "port": 8086, "pretty": False, "password": "-"}


@pytest.mark.parametrize(
    ("words", "values", "rest"),
    [
        ([], {}, []),
        (["-host", "x"], {"host": "x"}, []),
        (["--host=x"], {"host": "x"}, []),
        (["-host="], {"host": ""}, []),
        (["-host", "a", "-host", "b"], {"host": "b"}, []),
        (["-host", "a=b"], {"host": "a=b"}, []),
        (["-port", "0x50"], {"port": 80}, []),
        (["-port", "010"], {"port": 8}, []),
        (["-port=-1"], {"port": -1}, []),
        (["-pretty"], {"pretty": True}, []),
        (["-pretty=T"], {"pretty": True}, []),
        (["-pretty", "-pretty=0"], {"pretty": False}, []),
        (["-pretty", "true"], {"pretty": True}, ["true"]),
        (["-password", "-host", "x"], {"password": "-host"}, ["x"]),
        (["-password", ""], {"password": ""}, []),
        (["--", "-host"], {}, ["-host"]),
        (["SHOW", "-host", "x"], {}, ["SHOW", "-host", "x"]),
        (["-"], {}, ["-"]),
    ],
)
def test_a_command_line_means(words: list[str], values: dict[str, Value], rest: list[str]) -> None:
    assert parse_flags(words, DEFAULTS) == (values, rest)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["-x"], "flag provided but not defined: -x"),
        (["-Host", "x"], "flag provided but not defined: -Host"),
        (["-host"], "flag needs an argument: -host"),
        (["-port", "http"], 'invalid value "http" for flag -port: parse error'),
        (["-pretty=perhaps"], 'invalid boolean value "perhaps" for -pretty: parse error'),
        (["---x"], "bad flag syntax: ---x"),
        (["-=x"], "bad flag syntax: -=x"),
    ],
)
def test_a_wrong_command_line_is_refused_as_go_refuses_it(words: list[str], reason: str) -> None:
    with pytest.raises(FlagError) as refused:
        parse_flags(words, DEFAULTS)
    assert str(refused.value) == reason
