"""What a caller does with datasets on their own machine: it reads, computes and stores, then calls the operations."""
