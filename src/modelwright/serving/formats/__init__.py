"""The formats that models are loaded from: one module each, with `load(manifest, data) -> Predictor`."""
