"""Definition of a study: its settings, its space, and the systems of the two reports."""
