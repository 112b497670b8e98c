"""Reviews: what graphs ask people, and what people decide."""
