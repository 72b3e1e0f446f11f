"""The demo's case: loan applications, with a season, an abrupt change, delayed labels and columns that are nobody's business."""
