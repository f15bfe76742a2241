"""Values of careless-py's indices: `pip install careless-py==1.1.0`, then `python careless_indices.py > careless.json`.

Rows are raters; a row has four responses in the order in which they were rated, and for each the answers on three
dimensions. Its longstring and irv take the whole row, as ours do over all dimensions. Its evenodd pairs the columns at
even places with those at odd ones, so that it is handed the means of a rater's first and third, and of their second and
fourth, response on each dimension in turn.
"""

import json

import numpy as np
from careless import evenodd, irv, longstring

RATERS, RESPONSES, DIMENSIONS = 12, 4, 3

rng = np.random.default_rng(2511)
answers = rng.integers(1, 6, (RATERS, RESPONSES, DIMENSIONS))
answers[0] = 3  # one label throughout
answers[1, :2] = 4  # a run over two responses
answers[2] = answers[2, 0]  # the same answers to every response
rows = answers.reshape(RATERS, -1)
halves = np.stack([answers[:, 0::2].mean(axis=1), answers[:, 1::2].mean(axis=1)], axis=-1)
values = {
    "answers": answers.tolist(),
    "long_string": [run[1] for run in longstring(["".join(map(str, row)) for row in rows])],
    "irv": irv(rows).tolist(),
    "even_odd": evenodd(halves.reshape(RATERS, -1), [2 * DIMENSIONS]).tolist(),
}
print(json.dumps(values, indent=1))
