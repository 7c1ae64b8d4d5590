"""What a store holds, file by file, and a run that breaks off."""

from collections.abc import Callable
from pathlib import Path

DAYS = 60
REACH = 15


class StoppedError(Exception):
    pass


def stop_after(days: float) -> Callable[[str, float], None]:
    """Break off when so many days are filled."""

    def progress(stage: str, fraction: float) -> None:
        if stage == "fill" and fraction * DAYS >= days:
            raise StoppedError

    return progress


def maps(store: Path) -> dict[str, bytes]:
    """All of a store but the attributes, which tell when it was made, and the model."""
    files = {path.relative_to(store): path for path in store.rglob("*") if path.is_file()}
    chosen = {name: path for name, path in files.items() if len(name.parts) > 1 and name.parts[0] != "model"}
    return {str(name): path.read_bytes() for name, path in chosen.items()}


def stamps(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def days_of(names: set[str], variable: str = "analysed_sst") -> list[int]:
    """Numbers of the days among chunks of a variable."""
    return sorted(int(Path(n).name.split(".")[0]) for n in names if n.startswith(f"{variable}/") and ".z" not in n)
