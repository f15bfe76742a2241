"""The formats that an export is recognised in, most specific first; a new one is a file here and a name in `OTHERS`."""

from tasks.starting.bridges.argilla import Argilla
from tasks.starting.bridges.community_alignment import CommunityAlignment
from tasks.starting.bridges.dices import Dices
from tasks.starting.bridges.label_studio import LabelStudioJson
from tasks.starting.bridges.label_studio_rows import LabelStudioRows
from tasks.starting.bridges.lewidi import LeWiDi
from tasks.starting.bridges.potato import Potato
from tasks.starting.bridges.prism import Prism
from tasks.starting.bridges.prolific import Prolific
from tasks.starting.bridges.qualtrics import Qualtrics
from tasks.starting.draft import Bridge

OTHERS: tuple[Bridge, ...] = (
    Prism(),
    CommunityAlignment(),
    Dices(),
    LeWiDi(),
    LabelStudioJson(),
    LabelStudioRows(),
    Argilla(),
    Qualtrics(),
    Potato(),
)
BRIDGES: tuple[Bridge, ...] = (Prolific(OTHERS), *OTHERS)
