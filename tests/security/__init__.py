"""What hostile clients may try; each test is named after the requirement it holds."""
