"""The HTTP API, derived from the operations: one route each, one OpenAPI document, and objects streamed beside them."""
