"""sereno: fill the clouds in satellite images of the sea.

The verbs of the command line on xarray objects. The names of ``sereno.__all__`` are the public interface; they are
listed in ``__init__.pyi`` and imported when they are first used, so that ``import sereno`` is cheap. It changes
nothing in the process.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, _, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*_names, "__version__"]


def __dir__() -> list[str]:
    return __all__.copy()
