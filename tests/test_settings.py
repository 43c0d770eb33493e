"""Settings are checked at the start, in words that name the setting, its value and what is possible."""

import pytest

from app.settings import BadSetting, Settings, unknown_variables


@pytest.mark.parametrize(
    ("variable", "value", "possible"),
    [
        ("OCHUB_CHANGE_DAYS", "0", "at least 1"),
        ("OCHUB_CHANGE_DAYS", "seven", "a whole number"),
        ("OCHUB_TRUSTED_PROXIES", "10.0.0.0/33", "networks like 10.0.0.0/8; '10.0.0.0/33' is neither"),
        ("OCHUB_LOG_LEVEL", "verbose", "debug, info, warning, error"),
        ("OCHUB_POOL_SIZE", "0", "at least 1"),
        ("OCHUB_BUDGET_BURST_S", "0", "at least 1"),
        ("OCHUB_BUDGET_BURST_S", "nan", "at least 1"),
        ("OCHUB_PARTNER_COST_PER_S", "-1", "at least 0"),
        ("OCHUB_PORT", "70000", "0 to 65535"),
        ("OCHUB_MAX_DEPTH", "101", "1 to 100"),
        ("OCHUB_CORS_ORIGINS", "maps.example", "'maps.example' is none"),
        ("OCHUB_CORS_ORIGINS", "https://maps.example/map", "origins like https://maps.example"),
        ("OCHUB_CORS_ORIGINS", "https://maps.example:port", "origins like"),
    ],
)
def test_refuses_values_that_are_not_possible(variable: str, value: str, possible: str) -> None:
    with pytest.raises(BadSetting) as caught:
        Settings.from_environment({variable: value})
    assert str(caught.value).startswith(f"{variable} is '{value}'; possible: ")
    assert possible in str(caught.value)


def test_refuses_flags_likewise() -> None:
    with pytest.raises(BadSetting, match=r"^--pool-size is '0'; possible: at least 1$"):
        Settings.from_environment({}, pool_size=0)


def test_writes_origins_as_browsers_do() -> None:
    sent = " https://Maps.Example/ , http://localhost:80,https://maps.example:8443, http://[::1]:3000,*"
    expected = "https://maps.example,http://localhost,https://maps.example:8443,http://[::1]:3000,*"
    assert Settings.from_environment({"OCHUB_CORS_ORIGINS": sent}).cors_origins == expected


def test_takes_every_default() -> None:
    assert Settings.from_environment({"OCHUB_LOG_LEVEL": "INFO"}) == Settings()


def test_says_which_variables_mean_nothing() -> None:
    environment = {"OCHUB_WORKRES": "2", "OCHUB_WORKERS": "2", "OCHUB_POOL_SIZE": "3", "OCHUB_X": "", "PATH": "/bin"}
    assert list(unknown_variables(environment)) == [
        "OCHUB_WORKRES is not a setting; did you mean OCHUB_WORKERS?",
        "OCHUB_X is not a setting",
    ]
