"""How often clients may ask: rates for each user and each address, and how many streams a user may have open."""
