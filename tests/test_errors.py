import errno

import pytest

from sereno.errors import InputError, PausedError, file_edge, reason_of


@pytest.mark.parametrize(
    "error", [KeyError("lat"), OSError("bad"), RecursionError("deep"), TypeError(), ValueError("a\nb")]
)
def test_any_error_at_the_edge_of_a_file_becomes_one_line(error: Exception) -> None:
    with (
        pytest.raises(InputError, match=r"^a\.nc: .*; download it again$") as caught,
        file_edge("a.nc", "download it again"),
    ):
        raise error
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is error


def test_errors_for_the_user_pass_unchanged() -> None:
    for error in (InputError("b.nc: no lat"), PausedError("step 3"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, file_edge("a.nc", "download it again"):
            raise error
        assert caught.value is error


def test_a_full_disk_is_told_with_its_own_remedy() -> None:
    with (
        pytest.raises(InputError, match=r"^a\.nc: no space left on the disk; free some") as caught,
        file_edge("a.nc", "download"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device", "x")
    assert "download" not in str(caught.value)


def test_an_error_without_text_is_named() -> None:
    assert reason_of(TypeError()) == "TypeError"
    assert "memory" in reason_of(MemoryError())
