"""What a study is: its settings, its space, the systems of the two reports."""
