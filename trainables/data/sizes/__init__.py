"""Images of one size or of several: how they are stored, and the crops and tiles that networks see."""
