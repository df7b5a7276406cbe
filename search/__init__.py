"""The search: options, space, ledger, sampler, scheduler, tuner and the views on a running study."""
