"""Django models as Structs: read at the speed of SQL, written with the model's own rules."""

from hybrid_gateway.orm.annotations import Column, computed
from hybrid_gateway.orm.filters import Lookup, Ordering, Search
from hybrid_gateway.orm.pagination import Cursor, LimitOffset, Page, PageNumber
from hybrid_gateway.orm.prepared import Prepared, prepare
from hybrid_gateway.orm.ranges import Range
from hybrid_gateway.orm.struct import ModelStruct, model_struct
from hybrid_gateway.orm.transactions import run_in_transaction
from hybrid_gateway.orm.viewsets import ModelViewSet, ViewSet, action, crud

__all__ = [
    "Column",
    "Cursor",
    "LimitOffset",
    "Lookup",
    "ModelStruct",
    "ModelViewSet",
    "Ordering",
    "Page",
    "PageNumber",
    "Prepared",
    "Range",
    "Search",
    "ViewSet",
    "action",
    "computed",
    "crud",
    "model_struct",
    "prepare",
    "run_in_transaction",
]
