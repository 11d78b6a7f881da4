"""A row of numbers as a small picture: inline SVG without style, with its words for who does not see it."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

_WIDTH, _HEIGHT = 120, 28


def sparkline(numbers: Sequence[float], label: str, *, kind: str = "") -> Markup:
    """Bars, oldest left; the highest fills the height. Nothing but zeros is a line along the ground."""
    most, step = max([*numbers, 0]), _WIDTH / max(1, len(numbers))
    bars = Markup("").join(
        Markup('<rect x="{}" y="{}" width="{}" height="{}"/>').format(
            f"{place * step:.2f}", f"{_HEIGHT - high:.2f}", f"{step * 0.72:.2f}", f"{high:.2f}"
        )
        for place, number in enumerate(numbers)
        if (high := _high(number, most))
    )
    return Markup(
        '<svg class="spark {}" role="img" aria-label="{}" viewBox="0 0 {} {}" preserveAspectRatio="none">'
        '<path d="M0 {}H{}"/>{}</svg>'
    ).format(kind, label, _WIDTH, _HEIGHT + 1, f"{_HEIGHT + 0.5}", _WIDTH, bars)


def _high(number: float, most: float) -> float:
    """At least a pixel and a half for what is there at all."""
    return max(1.5, number / most * _HEIGHT) if most and number > 0 else 0.0
