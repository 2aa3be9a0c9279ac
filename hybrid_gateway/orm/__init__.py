"""Django models as Structs: read at the speed of SQL, written with the model's own rules."""

from hybrid_gateway.binding.text_converters import COMMA_SEPARATED
from hybrid_gateway.class_annotations import computed
from hybrid_gateway.orm.columns.postgresql import Range
from hybrid_gateway.orm.columns.struct_annotations import Column
from hybrid_gateway.orm.lists.filters import Lookup, Ordering, Search
from hybrid_gateway.orm.lists.page import Page
from hybrid_gateway.orm.lists.pagination import Cursor, LimitOffset, PageNumber
from hybrid_gateway.orm.model_struct import ModelStruct, model_struct
from hybrid_gateway.orm.query_cache.prepared import Prepared
from hybrid_gateway.orm.read.fetch import prepare
from hybrid_gateway.orm.views.crud import crud
from hybrid_gateway.orm.views.viewsets import ModelViewSet, ViewSet, action
from hybrid_gateway.orm.write.transactions import run_in_transaction

__all__ = [
    "COMMA_SEPARATED",
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
