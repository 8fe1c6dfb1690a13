"""Quantities and durations as people read them: three significant digits, the unit that fits, a space between."""

from __future__ import annotations

from canaryd.core.conditions import Unit

_BYTE_STEPS = ((1024.0**4, "TiB"), (1024.0**3, "GiB"), (1024.0**2, "MiB"), (1024.0, "KiB"))
_TIME_STEPS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_DAYS_FROM_S = 2 * 86400
"""Shorter spans are told in hours: people think of a 24 h window, not of 1 d."""


def format_quantity(value: float, unit: Unit) -> str:
    """Return a value in its base unit as text: ``1.9 %``, ``340 ms``, ``512 MiB``, ``0.76``, ``up``."""
    match unit:
        case Unit.RATIO:
            return f"{_number(value * 100)} %"
        case Unit.SECONDS:
            return _seconds(value)
        case Unit.BYTES:
            return _bytes(value)
        case Unit.NUMBER:
            return _number(value)
        case Unit.STATE:
            return "up" if value else "down"


def format_duration(seconds: float) -> str:
    """Return a span in its two largest units: ``45 s``, ``3 h 12 min``, ``2 d 3 h``. What is left over is not shown.

    Rounding is downwards, so that a window never looks more watched than it is.
    """
    seconds = round(max(0.0, seconds), 3)
    if 0 < seconds < 1:
        return f"{_number(seconds * 1000)} ms"
    if seconds < 60:
        return f"{int(seconds * 10) / 10:g} s"
    steps = _TIME_STEPS if seconds >= _DAYS_FROM_S else _TIME_STEPS[1:]
    first = next(index for index, (size, _) in enumerate(steps) if seconds >= size)
    (size, name), (small_size, small_name) = steps[first], steps[first + 1]
    count, rest = divmod(int(seconds), size)
    small_count = rest // small_size
    return f"{count} {name} {small_count} {small_name}" if small_count else f"{count} {name}"


def _number(value: float) -> str:
    """Return three significant digits, but every digit before the point and no exponent."""
    size = abs(value)
    if size >= 1e15:
        return f"{value:.3g}"
    if size >= 99.95:
        return f"{value:.0f}"
    if size < 1e-6:
        return f"{value:.3g}"
    text = f"{float(f'{value:.3g}'):.9f}"
    return text.rstrip("0").rstrip(".")


def _seconds(value: float) -> str:
    if 0 < abs(value) < 0.9995:
        return f"{_number(value * 1000)} ms"
    return f"{_number(value)} s" if value < 120 else format_duration(value)


def _bytes(value: float) -> str:
    for size, name in _BYTE_STEPS:
        if abs(value) >= size:
            return f"{_number(value / size)} {name}"
    return f"{_number(value)} B"
