"""What uploads of and searches for roaming authorisations take."""

import strawberry

from schema.types.common import TokenRepresentation, TokenSubType, TokenType
from schema.types.inputs import option


@strawberry.input(description="What a driver shows to be known. Personal data. OCHP emtId.")
class TokenInput:
    instance: str = strawberry.field(
        description="Uid of the card as hexadecimal digits, big endian, or its hash; 1 to 512 characters. OCHP "
        "instance."
    )
    type: TokenType = strawberry.field(description="What it is. OCHP tokenType.")
    sub_type: TokenSubType | None = option("Kind of card; tokens are compared without it. OCHP tokenSubType.")
    representation: TokenRepresentation = strawberry.field(
        default=TokenRepresentation.PLAIN, description="How `instance` is written. OCHP representation."
    )
