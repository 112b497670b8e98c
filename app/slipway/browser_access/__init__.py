"""What browsers send where they cannot send an API key: the session of the pages, and tickets for streams."""
