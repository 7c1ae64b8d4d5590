"""The application, the options that verbs share, and how options are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from sereno.cli.edge import DEBUG
from sereno.cli.panels import group_options
from sereno.cli.parameters import with_options
from sereno.cli.streams import one_line
from sereno.errors import InputError
from sereno.slurm import step

if TYPE_CHECKING:
    import xarray as xr

    from sereno.config import RunConfig
    from sereno.io.inputs.rejected_values import Tally
    from sereno.workflow.bare_networks import BareNetwork
    from sereno.workflow.models import Model

SKIPPED = 3
"""Exit status of a verb that left out bad files."""


_tallies: list[Tally] = []
"""Of the inputs of the verb that runs: what was taken as missing in images that were read."""
_warned: set[str] = set()
"""Messages already printed about files that were left out."""


class Verbs(typer.core.TyperGroup):
    """The application: `--debug`, which `sereno.cli.edge` reads, may come before or after a verb."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401
        super().__init__(**attributes)
        for verb in self.commands.values():
            group_options(verb)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        """Read the options that come before the verb."""
        return super().parse_args(ctx, without_debug(args))

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        """Run the verb, and print which values of its input count as missing."""
        try:
            return super().invoke(ctx)
        finally:
            for tally in _tallies:
                tell(tally.notes(), [])
            _tallies.clear()
            _warned.clear()


def without_debug(words: list[str]) -> list[str]:
    """Return the words of a command line without `--debug`; what follows ``--`` is no option."""
    end = words.index("--") if "--" in words else len(words)
    return [word for place, word in enumerate(words) if word != DEBUG or place > end]


app = typer.Typer(
    cls=Verbs,
    name="sereno",
    help="Fill the clouds in satellite images of the sea: daily maps without gaps, with calibrated errors.",
    epilog="Exit status: 0 done; 2 an error that can be mended, of usage, input or the system; 3 done, but bad files "
    "were skipped (`--skip-bad`); 70 an unforeseen error; 75 stopped early to be resumed; 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Inputs = Annotated[
    list[str], typer.Argument(metavar="IN...", help="NetCDF files, globs, folders or Zarr stores, one or many.")
]
Variable = Annotated[str | None, typer.Option(help="Variable to fill; recognised if not given.")]
Water = Annotated[
    str | None, typer.Option("--water", "--land", help="File with a mask of land and sea, such as an L4 file.")
]
Quality = Annotated[
    int | None, typer.Option(min=0, max=5, help="Lowest GHRSST quality level of an observation.  [default: 4]")
]
Days = Annotated[
    str | None, typer.Option(metavar="A:B", help="Days from A to B, both included; A or B may be left out.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting of the run file, e.g. model.hidden=16."),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of all random numbers.  [default: 0]")]
SkipBad = Annotated[
    bool,
    typer.Option(
        "--skip-bad/--no-skip-bad",
        help="Leave out files that cannot be read; their days are empty, and the exit status is 3.",
    ),
]


def open_input(
    inputs: list[str],
    variable: str | None,
    water: str | None,
    quality: int | None,
    *,
    skip_bad: bool = False,
) -> xr.Dataset:
    """Open the input as a cube, and print the assumptions."""
    from sereno.io.inputs.cube import open_cube
    from sereno.io.inputs.rejected_values import tally_of

    level: dict[str, Any] = {} if quality is None else {"quality_level": quality}
    compute_here()
    cube = open_cube(inputs, variable=variable, water=water, skip_bad=skip_bad, **level)
    tell(cube.attrs["notes"], cube.attrs["inserted_days"])
    tell_skipped(cube.attrs["skipped"])
    _tallies.append(tally_of(cube))
    return cube


def compute_here() -> None:
    """Have Dask compute in threads of this process.

    Where it is left to ask whether there is a cluster, it imports all that one needs: a third of a second.
    """
    import dask
    from dask import threaded

    dask.config.set({"scheduler": threaded.get, "array.rechunk.method": "tasks"})


def tell(notes: list[str], inserted: list[str]) -> None:
    """Print the assumptions."""
    for text in notes:
        note(text)
    if inserted:
        listed = ", ".join(inserted[:5]) + (", …" if len(inserted) > 5 else "")
        note(f"{len(inserted)} missing days taken as empty images: {listed}")


def tell_skipped(skipped: list[str]) -> None:
    """Print the faults of files that were left out."""
    from sereno.io.inputs.file import some_of

    new = [line for line in skipped if line not in _warned]
    _warned.update(new)
    if step.rank() == 0:
        for line in some_of(new):
            typer.secho(one_line(with_options(f"warning: skipped {line}")), fg="yellow", err=True)


def leave_with(skipped: list[str]) -> None:
    """End with exit status 3 if files were left out, and say how many; call it at the end of a verb."""
    tell_skipped(skipped)
    if skipped:
        what = "1 bad file was" if len(skipped) == 1 else f"{len(skipped)} bad files were"
        typer.secho(f"{what} skipped, and the rest is done (exit status {SKIPPED})", fg="yellow", err=True)
        raise typer.Exit(SKIPPED)


def note(text: str) -> None:
    """Print a note on standard error, once for all tasks."""
    if step.rank() == 0:
        typer.secho(f"note: {one_line(with_options(text))}", fg="yellow", err=True)


def open_for(
    inputs: list[str],
    config: RunConfig | None,
    variable: str | None,
    water: str | None,
    quality: int | None,
    *,
    skip_bad: bool,
) -> xr.Dataset:
    """Open the input as the training input of the model was opened, unless options say otherwise."""
    if config is None:
        return open_input(inputs, variable, water, quality, skip_bad=skip_bad)
    level = config.quality_level if quality is None else quality
    return open_input(inputs, variable or config.variable, water or config.water, level, skip_bad=skip_bad)


def configuration(method: str | None, path: Path | None, settings: list[str], overrides: dict[str, Any]) -> RunConfig:
    """Merge the run file, ``--set`` and the options, the later over the earlier, and validate."""
    from sereno.config import override, parse_config, read_config

    values = {} if path is None else read_config(path)
    values = override(values, settings) | {key: value for key, value in overrides.items() if value is not None}
    model = values.setdefault("model", {})
    if method is not None and isinstance(model, dict):
        model["method"] = method
    if not model:
        origin = "" if path is None else f"{path}: "
        raise InputError(f"{origin}no method: name one with -m, or set model.method in the run file")
    sources = [*([str(path)] if path else []), *(["--set"] if settings else [])]
    return parse_config(values, origin=" with ".join(sources) or "options")


def model_or_name(text: str) -> Model | BareNetwork | RunConfig | str:
    """Read ``-m``: a folder is a model, a TOML file a run, anything else must be the name of a method."""
    from sereno.config import REFERENCE_NETWORKS, parse_config, read_config
    from sereno.methods import METHODS, method_named, registered_names
    from sereno.workflow.choices import choice_of
    from sereno.workflow.models import load

    known = [*METHODS, *registered_names()]
    if text in {*known, *REFERENCE_NETWORKS} and not Path(text, "model.json").exists():
        if text in REFERENCE_NETWORKS or method_named(text).needs_training:
            raise InputError(f"-m {text}: needs training; run sereno fit -m {text} first and give the model's folder")
        return text
    if text.endswith(".toml"):
        config = parse_config(read_config(text), origin=text)
        if choice_of(config).trains:
            raise InputError(f"-m {text}: needs training; run sereno fit --config {text} first and give its folder")
        return config
    if Path(text).exists():
        return load(text)
    trained = ", ".join([*(name for name, row in METHODS.items() if row.needs_training), *REFERENCE_NETWORKS])
    quick = ", ".join(name for name in known if name not in METHODS or not METHODS[name].needs_training)
    raise InputError(
        f"-m {text}: neither a model's folder nor a run file nor a method that needs no training ({quick}); "
        f"the others, {trained}, must be fitted first: run sereno fit -m METHOD -o MODEL and give -m MODEL"
    )


def with_members(run: RunConfig, members: int | None) -> RunConfig:
    """Lay the option ``--members`` over a configuration."""
    from sereno.config import as_mapping, override, parse_config
    from sereno.methods import METHODS, method_named

    if members is None:
        return run
    if not method_named(run.model.method).has_members:
        able = " and ".join(name for name, row in METHODS.items() if row.has_members)
        raise InputError(f"--members {members}: {run.model.method} has no members; {able} have")
    return parse_config(override(as_mapping(run), [f"model.members={members}"]), origin=f"--members {members}")


def require_periods(periods: dict[str, str | None]) -> None:
    """Refuse periods, by the options that give them, that are none, before the input is opened."""
    from sereno.cube import parse_period

    for name, text in periods.items():
        try:
            parse_period(text or ":")
        except InputError as error:
            raise InputError(f"{name}: {error}") from None


def require_other_place(inputs: list[str], output: Path, *others: str | Path | None) -> None:
    """Refuse to write over what is read, or to where it would be read; `others` may be names of methods."""
    from sereno.io.outputs.places import require_apart

    require_apart(inputs, output, [other for other in others if other is not None and Path(other).exists()])


def require_place_for_model(output: Path) -> None:
    """Refuse a place where no model can be saved, before hours are spent on training it."""
    if not output.resolve().parent.is_dir():
        raise InputError(f"-o {output}: there is no folder {output.parent}; make it first")
    empty = not output.exists() or (output.is_dir() and not any(output.iterdir()))
    if not empty and not (output / "model.json").exists():
        raise InputError(f"-o {output}: it exists and is no model; choose another name or remove it")
