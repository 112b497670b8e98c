"""Models, tools and budgets are counted before they are used."""
