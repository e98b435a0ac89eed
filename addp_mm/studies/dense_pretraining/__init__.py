"""Which pre-training helps detection and segmentation, on pictures of one's own."""
from .plot import draw_labels
from .rows import ROWS, Row
from .study import RATES, TASKS, DenseStudy, Task
from .table import write_tables

__all__ = ['RATES', 'ROWS', 'TASKS', 'DenseStudy', 'Row', 'Task', 'draw_labels', 'write_tables']
