"""What ends a run before its study is complete: budgets, the time that a report needs, and repeated failures."""
