"""Which trials go on, and which do not."""

from __future__ import annotations

from search.promotion import LedgerPromotion
from search.scheduler import LedgerASHA

Scheduler = LedgerPromotion | LedgerASHA
SCHEDULERS: dict[str, type[LedgerPromotion] | type[LedgerASHA]] = {
    "promotion": LedgerPromotion,
    "stopping": LedgerASHA,
}
