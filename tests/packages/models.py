"""Where the models of rows belong, which the rows define."""
