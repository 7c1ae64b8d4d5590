import json
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from sereno.config import (
    REFERENCE_NETWORKS,
    MethodConfig,
    RunConfig,
    as_mapping,
    override,
    parse_config,
    read_config,
    to_toml,
)
from sereno.errors import InputError
from sereno.methods import METHODS

EXAMPLES = Path(__file__).parents[2] / "examples"
EVERYTHING: dict[str, Any] = {
    "climatology": {
        "kind": "window",
        "window": 5,
        "smoothing": 21,
        "harmonics": 1,
        "trend": False,
        "neighbours": 3.5,
        "strength": 10.0,
        "recent_days": 0,
        "file": "Ærø climatology.nc",
    },
    "variable": "sst",
    "water": "C:\\masks\\L4.nc",
    "quality_level": 5,
    "train": ":2019",
    "valid": "2020-02:",
    "max_minutes": 12.5,
    "seed": 7,
}


def faults(values: dict[str, Any]) -> list[str]:
    """Return the lines of the error that a configuration raises, the heading left out."""
    with pytest.raises(InputError) as caught:
        parse_config(values, origin="run.toml")
    heading, *lines = str(caught.value).splitlines()
    assert heading == "run.toml:"
    return [line.removeprefix("  ") for line in lines]


def test_every_method_can_be_configured() -> None:
    members = get_args(get_args(MethodConfig)[0])
    assert {cls().method for cls in members} == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("more", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_a_configuration_survives_toml_and_json(tmp_path: Path, method: str, more: dict[str, Any]) -> None:
    config = parse_config({"model": {"method": method}, **more})
    assert isinstance(config, RunConfig)
    (tmp_path / "run.toml").write_text(to_toml(config), encoding="utf-8")
    assert parse_config(read_config(tmp_path / "run.toml")) == config
    assert parse_config(json.loads(json.dumps(as_mapping(config)))) == config


def test_what_a_run_file_says_is_what_the_configuration_holds(tmp_path: Path) -> None:
    text = """
    train = ":2019"
    [model]
    method = "convlstm"
    window = 9
    learning_rate = 1e-3
    tile = [48, 96]
    [climatology]
    trend = false
    """
    (tmp_path / "run.toml").write_text(text)
    config = parse_config(read_config(tmp_path / "run.toml"))
    assert config.model.method == "convlstm"
    assert (config.model.window, config.model.learning_rate, config.model.tile) == (9, 0.001, (48, 96))
    assert config.climatology.trend is False
    assert config.climatology.harmonics == 2
    assert config.train == ":2019"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"model": {"method": "convlstm", "hiden": 8}}, "model.hiden: unknown key; did you mean 'hidden'?"),
        (
            {"model": {"method": "climatology", "hidden": 8}},
            "model.hidden: unknown key; known keys: method, window",
        ),
        (
            {"model": {"method": "climatology"}, "climatology": {"harmonic": 3}},
            "climatology.harmonic: unknown key; did you mean 'harmonics'?",
        ),
        (
            {"model": {"method": "climatology"}, "qualty_level": 3},
            "qualty_level: unknown key; did you mean 'quality_level'?",
        ),
    ],
)
def test_an_unknown_key_is_told_with_its_path_and_what_was_meant(values: dict[str, Any], told: str) -> None:
    assert faults(values) == [told]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"model": {"method": "convlstmm"}}, "model.method: unknown method 'convlstmm'; choose one of "),
        ({"model": {"hidden": 3}}, "model.method: name the method, one of "),
        ({}, "model.method: name the method, one of "),
    ],
)
def test_an_unknown_or_missing_method_is_answered_with_all_methods(values: dict[str, Any], told: str) -> None:
    (line,) = faults(values)
    assert line.startswith(told)
    assert set(line.removeprefix(told).split(", ")) == {*METHODS, *REFERENCE_NETWORKS}


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("hidden", "many", "model.hidden: Input should be a valid integer"),
        ("hidden", 2.5, "model.hidden: Input should be a valid integer"),
        ("hidden", 0, "model.hidden: Input should be greater than or equal to 1 (got 0)"),
        ("learning_rate", 0.0, "model.learning_rate: Input should be greater than 0 (got 0.0)"),
        ("hidden_day_fraction", 1.5, "model.hidden_day_fraction: Input should be less than or equal to 1"),
        ("precision", "half", "model.precision: Input should be 'auto', 'float32' or 'bfloat16' (got 'half')"),
        ("tile", [0, 64], "model.tile.0: Input should be greater than or equal to 1 (got 0)"),
        ("window", 8, "model: window must be an odd number (got 8)"),
        ("kernel", 4, "model: kernel must be an odd number (got 4)"),
    ],
)
def test_a_value_of_the_wrong_kind_or_range_is_told_with_its_path(key: str, value: object, told: str) -> None:
    (line,) = faults({"model": {"method": "convlstm", key: value}})
    assert line.startswith(told)


def test_interpolation_too_has_a_window_with_a_centre() -> None:
    assert faults({"model": {"method": "interpolation", "window": 4}}) == [
        "model: window must be an odd number (got 4)"
    ]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"window": 10}, "climatology: window must be an odd number (got 10)"),
        ({"smoothing": 30}, "climatology: smoothing must be an odd number (got 30)"),
        (
            {"file": "clim.nc", "period": "1985:2015"},
            "climatology: period says what to fit the climatology on, and file that it is not fitted; give one",
        ),
    ],
)
def test_a_climatology_is_of_windows_with_a_centre_and_either_fitted_or_read(
    settings: dict[str, Any], told: str
) -> None:
    assert faults({"model": {"method": "climatology"}, "climatology": settings}) == [told]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"model": "convlstm"}, "model: must be a table of settings (got 'convlstm')"),
        (
            {"model": {"method": "climatology"}, "climatology": 3},
            "climatology: must be a table of settings (got 3)",
        ),
    ],
)
def test_a_value_in_place_of_a_table_is_told(values: dict[str, Any], told: str) -> None:
    assert faults(values) == [told]


def test_all_faults_are_told_at_once_and_in_plain_words() -> None:
    lines = faults(
        {"model": {"method": "convlstm", "hiden": 8, "head": -1}, "climatology": {"harmonics": 7}, "seed": -1, "x": 0}
    )
    assert sorted(line.partition(":")[0] for line in lines) == [
        "climatology.harmonics",
        "model.head",
        "model.hiden",
        "seed",
        "x",
    ]
    assert "Value error" not in "".join(lines)


def test_overrides_are_read_as_toml_and_else_as_text() -> None:
    values = {"model": {"method": "convlstm", "hidden": 32}, "seed": 1}
    merged = override(
        values,
        [
            "model.hidden=8",
            "model.learning_rate=1e-2",
            "model.tile=[16, 24]",
            "model.precision=float32",
            'variable="sst"',
            "climatology.trend=false",
            "train=:2019",
        ],
    )
    assert merged == {
        "model": {
            "method": "convlstm",
            "hidden": 8,
            "learning_rate": 0.01,
            "tile": [16, 24],
            "precision": "float32",
        },
        "seed": 1,
        "variable": "sst",
        "climatology": {"trend": False},
        "train": ":2019",
    }
    assert values == {"model": {"method": "convlstm", "hidden": 32}, "seed": 1}
    config = parse_config(merged)
    assert (config.model.hidden, config.model.tile, config.climatology.trend) == (8, (16, 24), False)


def test_a_later_override_wins() -> None:
    assert override({}, ["seed=1", "seed=2"]) == {"seed": 2}


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("model.hidden", "`assignments` model.hidden: write it as key=value, for example model.hidden=64"),
        ("=3", "`assignments` =3: write it as key=value"),
        ("seed.deep=3", "`assignments` seed.deep=3: 'seed' is a value, not a table"),
    ],
)
def test_an_override_that_is_none_is_refused(assignment: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        override({"seed": 1}, [assignment])
    assert str(caught.value).startswith(told)


def test_a_run_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.toml: no such file"):
        read_config(tmp_path / "run.toml")


@pytest.mark.parametrize("content", [b"model: convlstm\n", b"\x89HDF\r\n\x1a\n\xff\xfe", b'variable = "gr\xfcn"\n'])
def test_a_run_file_that_is_not_toml_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.toml").write_bytes(content)
    with pytest.raises(InputError, match=r"run\.toml: not valid TOML"):
        read_config(tmp_path / "run.toml")


def test_a_folder_in_place_of_a_run_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"it is a folder; give a file"):
        read_config(tmp_path)


def test_there_are_example_run_files() -> None:
    assert sorted(EXAMPLES.glob("*.toml")), f"no run file in {EXAMPLES}"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.name)
def test_an_example_run_file_loads(path: Path) -> None:
    config = parse_config(read_config(path), origin=str(path))
    assert config.model.method in METHODS
    assert parse_config(tomllib.loads(to_toml(config))) == config


@pytest.mark.parametrize("name", REFERENCE_NETWORKS)
def test_a_reference_network_stands_for_its_settings(name: str) -> None:
    config = parse_config({"model": {"method": name, "hidden": 8}})
    assert config.model.method == "convlstm"
    layers, kernel, dilation = {
        "model1": (1, 3, 1),
        "model2": (1, 3, 2),
        "model3": (1, 5, 2),
        "model3-dilation1": (1, 5, 1),
        "deep": (2, 5, 2),
    }[name]
    assert (config.model.layers, config.model.kernel, config.model.dilation) == (layers, kernel, dilation)
    assert (config.model.hidden, config.model.head) == (8, 64)
    assert parse_config({"model": {"method": name, "kernel": 7}}).model.kernel == 7


def bounds(schema: dict[str, Any], path: str = "") -> list[tuple[str, bool]]:
    """Return each number of a schema, and whether it has bounds either way."""
    if schema.get("type") in ("integer", "number"):
        low = {"minimum", "exclusiveMinimum"} & schema.keys()
        return [(path, bool((low and "maximum" in schema) or {"minimum", "exclusiveMaximum"} <= schema.keys()))]
    parts: list[tuple[str, bool]] = []
    for name, part in schema.items():
        inside = part if isinstance(part, list) else [part]
        for each in inside:
            if isinstance(each, dict):
                parts += bounds(each, f"{path}/{name}")
    return parts


def test_every_number_has_bounds() -> None:
    numbers = bounds(TypeAdapter(RunConfig).json_schema())
    assert len(numbers) > 60
    assert [path for path, bounded in numbers if not bounded] == []


WRONG = [
    float("nan"),
    float("inf"),
    float("-inf"),
    -1e300,
    1e300,
    10**400,
    -1,
    [],
    [[1]],
    {},
    {"a": {"b": 1}},
    "\x00",
    None,
]


@pytest.mark.parametrize("method", METHODS)
def test_no_value_of_any_setting_is_more_than_an_input_error(method: str) -> None:
    whole = as_mapping(parse_config({"model": {"method": method}, **EVERYTHING}))
    for table, key in [(None, k) for k in whole] + [(t, k) for t in ("model", "climatology") for k in whole[t]]:
        for value in WRONG:
            values = json.loads(json.dumps(whole))
            (values if table is None else values[table])[key] = value
            try:
                to_toml(parse_config(values, origin="run.toml"))
            except InputError as error:
                told = str(error)
            else:
                continue
            assert len(told) < 2000
            assert all(part in told for part in ("run.toml", key if table is None else table))


@pytest.mark.parametrize("text", ["[" * 5000, "1" * 5000, "{a=" * 3000, "inf", "nan", "-1e400", "[1]\n[model]"])
def test_an_override_is_read_or_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"`assignments`|hidden"):
        parse_config(override({"model": {"method": "convlstm"}}, [f"model.hidden={text}"]), origin="options")


@pytest.mark.parametrize(
    "content", [b"a=" + b"[" * 5000, b"a=" + b"1" * 5000, b"a" * 2**21, b"[[model]]\n" * 3, b"model=[1]\n", b"\x00"]
)
def test_a_run_file_of_any_content_is_an_input_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.toml").write_bytes(content)
    with pytest.raises(InputError, match=r"run\.toml"):
        parse_config(read_config(tmp_path / "run.toml"), origin="run.toml")
