"""The rows of the paper's ablations as trainings, and their scores."""
