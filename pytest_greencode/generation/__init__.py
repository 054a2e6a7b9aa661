"""What belongs to generating samples: energy recorded with them, clients of model servers. Needs msgspec only."""

from .recorder import GenerationRecorder

__all__ = ["GenerationRecorder"]
