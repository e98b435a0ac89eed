"""Pictures of what training sees, and of what it reached."""
from .curves import RunScalars, draw_curves, read_run
from .edits import edit_rows, edits, redrawn_tokens
from .image_grid import image_grid, sample_grid
from .mask_ratios import draw_mask_ratios
from .step_rows import denoising_chain, principal_colors, spread_steps, token_embeddings
from .training_view import NoisyChain, draw_training_view, noisy_chain, training_view

__all__ = [
    'NoisyChain', 'RunScalars', 'denoising_chain', 'draw_curves', 'draw_mask_ratios',
    'draw_training_view', 'edit_rows', 'edits', 'image_grid', 'noisy_chain', 'principal_colors',
    'read_run', 'redrawn_tokens', 'sample_grid', 'spread_steps', 'token_embeddings',
    'training_view'
]
