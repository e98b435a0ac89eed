"""Pictures of what training sees, and of what it reached."""
from .curves import draw_curves
from .denoising_chain import denoising_chain
from .edits import edit_rows, edits
from .image_grid import image_grid
from .mask_ratios import draw_mask_ratios
from .sample_grid import sample_grid
from .scalars import RunScalars, read_run
from .step_rows import spread_steps
from .token_embeddings import principal_colors, token_embeddings
from .training_view import NoisyChain, draw_training_view, noisy_chain, training_view

__all__ = [
    'NoisyChain', 'RunScalars', 'denoising_chain', 'draw_curves', 'draw_mask_ratios',
    'draw_training_view', 'edit_rows', 'edits', 'image_grid', 'noisy_chain', 'principal_colors',
    'read_run', 'sample_grid', 'spread_steps', 'token_embeddings', 'training_view'
]
