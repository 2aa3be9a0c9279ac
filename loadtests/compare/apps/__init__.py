"""The same small service under every framework, as its documentation recommends; ``cases.py`` says what it does."""
