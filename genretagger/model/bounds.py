"""How much a card may hold: anybody may have written it."""

MAX_CARD_BYTES = 4 * 1024 * 1024
MAX_LABELS = 10_000
MAX_TENSORS = 64
MAX_TEXT = 1_000
MAX_DIMENSIONS = 8
RATES_HZ = (1_000, 384_000)
