"""The web pages for operators: what happened, what waits, what needs a person. They only read."""
