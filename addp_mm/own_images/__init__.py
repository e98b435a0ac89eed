"""From a folder of images to a tokenizer, a token predictor, an ADDP, and a report."""
