"""Moving the API of another framework over."""
