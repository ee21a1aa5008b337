"""One cold start, in a fresh process: import a module's handlers and serve one `$connect`.

Run as `python -m bench.cold_start.start MODULE`; the module comes first on the path.
"""

import importlib
import sys

if sys.argv[1] == "plain":
    # The Lambda runtime brings no C runtime. Here there is one, for this project's own use, which
    # botocore would import, and the baseline would be slower than it is in Lambda.
    sys.modules["awscrt"] = None  # type: ignore[assignment] # None is how an import is made to fail

module = importlib.import_module(sys.argv[1])

from bench import network  # noqa: E402 - the module under test is imported first
from tests.support import events  # noqa: E402

network.answer_in_process()
answer = module.connect(events.connect_event("L0SM9cOFvHcCIhw="), None)
if answer["statusCode"] != 200:
    sys.exit(f"{sys.argv[1]} answered {answer}")
