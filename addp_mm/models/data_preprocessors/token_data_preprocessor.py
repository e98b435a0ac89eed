"""From a batch of pictures to their tokens, on the device."""
from __future__ import annotations

from ...registry import MODELS
from .addp_data_preprocessor import TokenizingPreprocessor


@MODELS.register_module()
class TokenDataPreprocessor(TokenizingPreprocessor):
    """VQ tokenization for the training of a token predictor.

    Args:
        tokenizer: Arguments of ``FrozenModule`` for the tokenizer.
        **kwargs: ``to_rgb`` of :class:`TokenizingPreprocessor`.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Tokenize a batch.

        Args:
            data: See :meth:`TokenizingPreprocessor.to_images`.
            training: Not read: training and scoring take the same tokens.

        Returns:
            ``inputs``: token ids (N, h, w); ``data_samples`` of the loader.
        """
        images, data_samples = self.to_images(data)
        return dict(inputs=self.tokenize(images)[0], data_samples=data_samples)
