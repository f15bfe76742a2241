"""Settings of a study have a block for each training method."""

import tasks.methods  # noqa: F401
