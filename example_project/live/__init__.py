"""A room to talk in, live: a channel with history and presence, and the page of it."""
