"""Tables of Delta Lake and Iceberg that stay where they are: registered by their own version, verified on reading."""
