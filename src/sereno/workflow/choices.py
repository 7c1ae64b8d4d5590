"""What can be given as a method: its name, its settings, a class of your own, a configuration, a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sereno.config import RunConfig, configurations, configure_at_once, is_settings, parse_config
from sereno.errors import InputError
from sereno.methods import Method, Reconstructor, method_named, own_method
from sereno.workflow.bare_networks import BareNetwork
from sereno.workflow.models import Model


class Settings(Protocol):
    """Settings of a method: one of the dataclasses of `sereno.config`, or one of your own."""

    @property
    def method(self) -> str:
        """The method's name."""
        ...

    @property
    def window(self) -> int:
        """Days, centred on the target, within which an observation counts as support."""
        ...


Unfitted = str | RunConfig | Settings | type[Settings] | type[Reconstructor[Any]] | BareNetwork
AnyMethod = Unfitted | Model
"""What `fill` and `evaluate` take for a method."""


@dataclass(frozen=True)
class Choice:
    """A method that is to be fitted.

    Attributes
    ----------
    config
        The configuration of the run.
    row
        The method's row of the table of methods.
    network
        A bare network that is only to be completed.
    """

    config: RunConfig
    row: Method
    network: BareNetwork | None = None

    @property
    def trains(self) -> bool:
        """Whether a network will be trained."""
        return self.row.is_network and self.network is None and self.config.weights != "packaged"


def choice_of(method: Unfitted, settings: Mapping[str, Any] | None = None, *, at_once: bool = False) -> Choice:
    """Return the configuration and the row of a method, in any form, that is to be fitted.

    Parameters
    ----------
    method
        As `sereno.fit` takes it.
    settings
        Settings of the method, where it is given by name or class.
    at_once
        Whether it is fitted on the fly: a network given by name is that of the package, used as it is.

    Raises
    ------
    InputError
        If it is no form of a method, has settings already, or needs training first.
    """
    settings = dict(settings or {})
    if isinstance(method, type) and method in configurations().values():
        method = next(name for name, own in configurations().items() if own is method)
    if isinstance(method, str):
        return _named(method, settings, at_once=at_once)
    if isinstance(method, type):
        row = own_method(method)
        origin, table = f"settings of {method.__qualname__}", {"method": row.name, **settings}
        return Choice(parse_config({"model": table}, origin=origin, settings=row.own_settings), row)
    if settings:
        raise InputError(
            f"{', '.join(f'`{name}`' for name in settings)}: settings go with the name or the class of a method; "
            f"here the {type(method).__name__} holds them already"
        )
    if isinstance(method, BareNetwork):
        return Choice(method.config, method_named(method.config.model.method), method)
    if isinstance(method, RunConfig):
        return Choice(method, method_named(method.model.method))
    if type(method) in configurations().values() or is_settings(method):
        return choice_of(RunConfig(model=method))  # type: ignore[arg-type]
    raise InputError(
        f"`method`: give the name of a method, its settings, a class of your own, a configuration or a model (got "
        f"{type(method).__name__} {method!r:.60})"
    )


def _named(name: str, settings: dict[str, Any], *, at_once: bool) -> Choice:
    """Return the choice that a name and settings make."""
    if at_once:
        config = configure_at_once(name)
    else:
        config = parse_config({"model": {"method": name, **settings}}, origin=f"method {name!r}")
    row = method_named(config.model.method)
    if at_once and row.needs_training:
        raise InputError(f"`method`: {name} needs training; fit it first, and give the model")
    return Choice(config, row)


def settings_of(method: AnyMethod) -> RunConfig:
    """Return the configuration of a method in any form; of a name, that with which it is fitted on the fly."""
    return method.config if isinstance(method, Model) else choice_of(method, at_once=True).config


def by_label(methods: Mapping[str, AnyMethod] | Iterable[AnyMethod] | AnyMethod) -> dict[str, AnyMethod]:
    """Return methods by the names that they are to have in tables: their own, where none are given.

    Raises
    ------
    InputError
        If there is none, or two have the same name.
    """
    if isinstance(methods, Mapping):
        labelled = dict(methods)
    else:
        several: Any = methods if isinstance(methods, Iterable) and not isinstance(methods, str) else [methods]
        labelled = {}
        for method in several:
            label = settings_of(method).model.method
            if label in labelled:
                raise InputError(
                    f"`methods`: two of them are {label!r}; name them, as in {{'first': …, 'second': …}}"
                )
            labelled[label] = method
    if not labelled:
        raise InputError("`methods`: give one method at least")
    return labelled
