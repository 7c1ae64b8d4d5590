"""Standard output and standard error that never stop the work: closed, full, or of a poor encoding."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

_SPELT_OUT = {
    **{"×": "x", "°": " deg", "±": "+-", "σ": "sigma", "²": "^2", "µ": "u", "–": "-", "—": "-", "−": "-"},
    **{"…": "...", "─": "-", "━": "-", "│": "|", "≥": ">=", "≤": "<=", "→": "->", "’": "'", "“": '"', "”": '"'},
}
"""Replacements of characters that an encoding lacks."""
_HANDLER = "sereno.spelt_out"
_LONG, _SHOWN = re.compile(r"\S{600,}"), 100
"""Words that are shortened, and the letters that are shown of either end."""
_UNDECODED = 0xDC00
"""Python keeps a byte of a file's name that is no text as this and its value."""


class Stream:
    """A text stream whose writing never fails: what its encoding lacks is spelt out, its first failure is kept."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: Exception | None = None

    def write(self, text: str) -> int:
        """Write text, unless an earlier write failed."""
        if self.failure is None:
            encoding = self._stream.encoding or "utf-8"
            try:
                self._stream.write(text.encode(encoding, _HANDLER).decode(encoding))
            except (OSError, ValueError) as error:
                self._fail(error)
        return len(text)

    def flush(self) -> None:
        """Write what is held back."""
        if self.failure is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._fail(error)

    @property
    def broken_pipe(self) -> bool:
        """Return whether the reader left, as `head` does."""
        return isinstance(self.failure, OSError) and self.failure.errno == errno.EPIPE

    def _fail(self, error: Exception) -> None:
        """Keep the failure, and have what is still held back go nowhere: the interpreter writes it at its end."""
        self.failure = error
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._stream, name)


@contextmanager
def standard_streams() -> Iterator[Stream]:
    """Put streams that never fail in place of the standard ones meanwhile, and yield that of the output.

    Where one was closed before the start, its number is given to the null device: else the first file that is opened
    would get it, and messages of libraries would be written into that file.
    """
    codecs.register_error(_HANDLER, _spell_out)
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
    before = sys.stdout, sys.stderr
    output, error = (Stream(stream or open(os.devnull, "w", encoding="utf-8")) for stream in before)  # noqa: SIM115
    sys.stdout, sys.stderr = cast(TextIO, output), cast(TextIO, error)
    try:
        yield output
    finally:
        output.flush()
        error.flush()
        sys.stdout, sys.stderr = before


def one_line(text: str) -> str:
    """Return a text whose control characters, as the names of files may hold them, are shown as escapes.

    Very long words are shortened. Line breaks stay, unless a word of the command line brought them in.
    """
    for word in sys.argv[1:]:
        if "\n" in word:
            for piece in word.replace("=", "/").split("/"):
                text = text.replace(piece, piece.replace("\n", "\\n")) if piece.strip() else text
    text = _LONG.sub(lambda word: f"{word[0][:_SHOWN]}…{word[0][-_SHOWN:]}", text)
    return "".join(c if c.isprintable() or c == "\n" or 0xD800 <= ord(c) < 0xE000 else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _spell_out(error: UnicodeError) -> tuple[str, int]:
    """Replace what cannot be encoded; an error handler of `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    spelt = [_ascii(character) for character in error.object[error.start : error.end]]
    return "".join(spelt), error.end


def _ascii(character: str) -> str:
    if 0 < ord(character) - _UNDECODED < 0x100:
        return f"\\x{ord(character) - _UNDECODED:02x}"
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode("ascii")
    return _SPELT_OUT.get(character) or plain or "?"
