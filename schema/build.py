"""The schema: types, validation and introspection by Strawberry; reads by `schema.compiled`."""

import strawberry
from strawberry.schema.config import StrawberryConfig

from schema.compiled import CompiledExecutionContext
from schema.mutation import Mutation
from schema.query import Query
from schema.scalars import SCALARS

schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    execution_context_class=CompiledExecutionContext,
    config=StrawberryConfig(scalar_map=SCALARS),
)
