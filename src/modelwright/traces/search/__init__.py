"""Finding traces: which fields a filter has, and what it asks of the database."""
