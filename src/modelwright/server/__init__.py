"""HTTP: the API derived from the operations, the pages, the inference data plane, and the operator loop, in one process."""
