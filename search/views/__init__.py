"""Views of a study: terminal output, events, TensorBoard, tables."""
