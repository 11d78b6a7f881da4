"""What this house does when something happens: one table, like Seamkeeper's own."""

from house_rules.caretaker import call_the_caretaker
from house_rules.door_book import write_into_the_door_book

REACTIONS = {
    "lock.unlocked": (write_into_the_door_book,),  # an event, as Seam sends it
    "acs_user.error_raised": (call_the_caretaker,),  # a change, as Seamkeeper finds it
}
