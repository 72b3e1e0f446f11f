"""The demo's case: loan applications, with a season, a shock, delayed labels and columns that are nobody's business."""
