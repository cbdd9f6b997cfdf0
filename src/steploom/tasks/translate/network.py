"""The network of the task `translate`, from its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steploom.models.encoder_decoder import EncoderDecoder
from steploom.models.recurrent_shape import RecurrentShape
from steploom.models.sampling_schedule import SamplingSchedule

if TYPE_CHECKING:
    from steploom.tasks.translate.task import TranslateOptions
    from steploom.tasks.translate.text import Languages

__all__ = ["build_network"]


def build_network(options: TranslateOptions, languages: Languages, pairs: int) -> EncoderDecoder:
    """An encoder-decoder with fresh weights from torch's global generator, for so many training pairs."""
    epochs = options.sampling_epochs or options.epochs
    updates = max(1, round(epochs * -(-pairs // options.batch_size)))
    encoder = RecurrentShape.of(
        options,
        hidden_size=options.encoder_size or options.hidden_size,
        num_layers=options.encoder_layers or options.num_layers,
    )
    return EncoderDecoder(
        len(languages.source),
        len(languages.target),
        begin=languages.begin,
        end=languages.end,
        encoder=encoder,
        decoder=RecurrentShape.of(options, bidirectional=False),
        embedding_size=options.embedding_size or options.hidden_size,
        attention=options.attention,
        attend=options.attend,
        hard=options.hard,
        input_feeding=options.input_feeding,
        share_embeddings=options.shared_vocabulary,
        tie_embeddings=options.tie_embeddings,
        label_smoothing=options.label_smoothing,
        entropy=options.entropy,
        forcing=options.forcing,
        feedback=options.feedback,
        schedule=SamplingSchedule(options.sampling_schedule, updates, options.sampling_floor),
        professor_weight=options.professor_weight,
    )
