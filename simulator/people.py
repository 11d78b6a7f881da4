"""Who lives in the building? Plausible people whose addresses and numbers belong to nobody."""

import random
from dataclasses import dataclass

GIVEN = (
    "Ada", "Amir", "Beatriz", "Chidi", "Clara", "Daniel", "Elif", "Emil", "Farah", "Grace", "Hana", "Ines", "Jonas",
    "Kofi", "Lena", "Linnea", "Mateo", "Mei", "Nadia", "Noah", "Olga", "Priya", "Rafael", "Ruth", "Samir", "Sofia",
    "Tariq", "Thea", "Viktor", "Wanda", "Yara", "Zoe",
)  # fmt: skip
FAMILY = (
    "Adeyemi", "Almeida", "Baker", "Berg", "Castillo", "Chen", "Dubois", "Eriksen", "Fischer", "Garcia", "Haddad",
    "Ito", "Jansen", "Kaya", "Kowalski", "Lindqvist", "Marsh", "Mbeki", "Moreau", "Nakamura", "Novak", "Okafor",
    "Park", "Quinn", "Rossi", "Sato", "Silva", "Stone", "Varga", "Weber", "Young", "Zimmer",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """A name, an address below example.com (RFC 2606) and a number of the fictitious range 555-0100 to 0199."""

    full_name: str
    email_address: str
    phone_number: str


def someone(rng: random.Random) -> Person:
    """A person; the same generator gives the same people."""
    given, family = rng.choice(GIVEN), rng.choice(FAMILY)
    email = f"{given}.{family}{rng.randrange(10, 1000)}@example.com".lower()
    return Person(f"{given} {family}", email, some_number(rng))


def some_number(rng: random.Random) -> str:
    """A telephone number in E.164, such as `+12125550142`."""
    return f"+1{rng.choice((206, 212, 312, 415, 503, 617))}55501{rng.randrange(100):02d}"
