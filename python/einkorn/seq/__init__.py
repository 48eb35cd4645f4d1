"""What models of sequences share: generation with a cache, sampling and beam search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from einkorn._later import later

# What is reached as einkorn.seq.NAME, and the module it lives in.
_HOMES = {
    "CAPTION_WORDS": "pictures",
    "Cache": "cache",
    "CaptionedScenes": "pictures",
    "Generated": "generation",
    "GenerationConfig": "generation_config",
    "GenerationInterrupted": "generation",
    "LANGUAGES": "transcription",
    "Memory": "memory",
    "PPOTrainer": "ppo",
    "RewardModel": "rewards",
    "WhisperTokens": "transcription",
    "bucketed_batches": "streams",
    "captioned_scenes": "pictures",
    "comparison_loss": "preference",
    "corrupt_spans": "streams",
    "dpo_loss": "preference",
    "fit_rewards": "rewards",
    "generalised_advantages": "preference",
    "generate": "generation",
    "keep_epsilon": "sampling",
    "keep_eta": "sampling",
    "keep_min_p": "sampling",
    "keep_top_h": "sampling",
    "keep_top_k": "sampling",
    "keep_top_p": "sampling",
    "keep_typical": "sampling",
    "log_mel_spectrogram": "features",
    "mask_tokens": "streams",
    "mel_filters": "features",
    "mfcc": "features",
    "pack_documents": "streams",
    "penalise_repetition": "sampling",
    "power_spectrogram": "features",
    "ppo_loss": "preference",
    "prefix_batch": "streams",
    "read_wav": "features",
    "sample": "sampling",
    "sequence_log_probs": "preference",
    "speculate": "speculation",
    "stream_batches": "streams",
    "timestamp_rules": "transcription",
    "transcribe": "transcription",
}

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from einkorn.seq.cache import Cache
    from einkorn.seq.features import log_mel_spectrogram, mel_filters, mfcc, power_spectrogram, read_wav
    from einkorn.seq.generation import Generated, GenerationInterrupted, generate
    from einkorn.seq.generation_config import GenerationConfig
    from einkorn.seq.memory import Memory
    from einkorn.seq.pictures import CAPTION_WORDS, CaptionedScenes, captioned_scenes
    from einkorn.seq.ppo import PPOTrainer
    from einkorn.seq.preference import (
        comparison_loss,
        dpo_loss,
        generalised_advantages,
        ppo_loss,
        sequence_log_probs,
    )
    from einkorn.seq.rewards import RewardModel, fit_rewards
    from einkorn.seq.sampling import (
        keep_epsilon,
        keep_eta,
        keep_min_p,
        keep_top_h,
        keep_top_k,
        keep_top_p,
        keep_typical,
        penalise_repetition,
        sample,
    )
    from einkorn.seq.speculation import speculate
    from einkorn.seq.streams import (
        bucketed_batches,
        corrupt_spans,
        mask_tokens,
        pack_documents,
        prefix_batch,
        stream_batches,
    )
    from einkorn.seq.transcription import LANGUAGES, WhisperTokens, timestamp_rules, transcribe

__getattr__, __dir__ = later(__name__, _HOMES)
