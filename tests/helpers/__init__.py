"""What tests share: tiny models and recipes, recorded outputs, two processes, a browser."""
