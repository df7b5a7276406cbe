"""One driver a study, on this machine and on all others."""
