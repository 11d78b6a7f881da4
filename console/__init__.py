"""The door for people: the command line and the web pages."""
