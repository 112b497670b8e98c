"""The indexes of records: terms, queries in terms, and bounded walks through the sorted sets of an index."""
