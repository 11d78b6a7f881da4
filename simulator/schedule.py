"""When does Svix try again?"""

import random

# Seconds between one attempt and the next: 8 attempts over 27 h 35 m 05 s (Svix, "Retry schedule").
WAITS = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 36000.0)
JITTER = 0.2  # +-20 % (Svix server source)
SLOW_DOWN_FLOOR = 60.0  # after a time-out or 429 (Svix server source)


def next_wait(
    attempt: int, rng: random.Random, *, must_slow_down: bool = False, retry_after: float | None = None
) -> float | None:
    """Seconds from the failed `attempt` (the first is 1) to the next; None when there is no next.

    `retry_after` is kept between one and two times the planned wait, so it cannot hurry Svix (Svix server source).
    """
    if attempt > len(WAITS):
        return None
    planned = WAITS[attempt - 1]
    if retry_after is not None:
        planned = min(max(retry_after, planned), 2 * planned)
    wait = planned * rng.uniform(1 - JITTER, 1 + JITTER)
    return max(wait, SLOW_DOWN_FLOOR) if must_slow_down else wait
