"""Which trials go on, and which do not."""

from __future__ import annotations

from search.scheduling.asha_promotion import LedgerPromotion
from search.scheduling.asha_stopping import LedgerASHA

Scheduler = LedgerPromotion | LedgerASHA
SCHEDULERS: dict[str, type[LedgerPromotion] | type[LedgerASHA]] = {
    "promotion": LedgerPromotion,
    "stopping": LedgerASHA,
}
