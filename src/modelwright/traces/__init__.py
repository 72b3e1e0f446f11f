"""Traces: the steps by which a program came to an answer, and what people, programs and models judged of them."""
