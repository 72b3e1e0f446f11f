"""The story of one model's whole life, told on a real server: on generated lending data, or on any case of the same shape."""
