"""The schema: types, validation and introspection by Strawberry; reads by `schema.root_fields`."""

from pathlib import Path

import strawberry
from strawberry.schema.config import StrawberryConfig

from schema.mutation import Mutation
from schema.query import Query
from schema.root_fields import CompiledExecutionContext
from schema.scalars import SCALARS
from schema.subscription import Subscription

schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    execution_context_class=CompiledExecutionContext,
    config=StrawberryConfig(scalar_map=SCALARS),
)

SDL = Path(__file__).with_name("schema.graphql")


def printed() -> str:
    """Return the schema as it is committed in schema/schema.graphql."""
    return schema.as_str() + "\n"


if __name__ == "__main__":
    SDL.write_text(printed(), encoding="utf-8")
