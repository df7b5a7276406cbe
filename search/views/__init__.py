"""What people see of a study: the terminal, events, TensorBoard, tables."""
