"""How long a labeler waits: from the key press that submits to the next task on the screen.

Chromium against the real server. The clock starts with the keydown event and stops after the frame
in which the next task was painted.
"""

import argparse
import json
import os
from statistics import quantiles

from playwright.sync_api import Page, sync_playwright

from annotate.models import Role
from annotate.services.projects import create_project
from tests import cast, services
from tests.benchmarks import bulk, machine
from tests.browser.screen import Workbench, sign_in

ANSWER = """\
A **short** answer with a list:

- one thing, with `code`
- another thing

```python
print("and a block of code")
```

It goes on for a sentence or two, as models do, so that there is something to lay out and paint.
"""

WATCH = """() => {
  window.samples = [];
  let pressed = 0, before = null;
  const claim = () => document.querySelector('[data-testid="task"]')?.dataset.claim;
  document.addEventListener('keydown', event => {
    if (event.key === 'Enter') { pressed = performance.now(); before = claim(); }
  }, true);
  new MutationObserver(() => {
    if (pressed && claim() && claim() !== before) {
      const from = pressed;
      pressed = 0;
      const painted = new MessageChannel();
      painted.port1.onmessage = () => window.samples.push(performance.now() - from);
      requestAnimationFrame(() => painted.port2.postMessage(0));
    }
  }).observe(document.body, { subtree: true, childList: true, attributes: true });
}"""


def label(page: Page, tasks: int, pause_ms: int) -> list[float]:
    """Rank tasks by keyboard; milliseconds from each Enter to the next task's paint."""
    workbench = Workbench(page)
    workbench.wait_for_task()
    page.evaluate(WATCH)
    for number in range(tasks):
        workbench.press("B", "A", "D", "C")
        page.wait_for_timeout(pause_ms)  # nobody ranks four responses faster than this
        workbench.press("Enter")
        page.wait_for_function("count => window.samples.length > count", arg=number)
    samples: list[float] = page.evaluate("window.samples")
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--pause-ms", type=int, default=400)
    options = parser.parse_args()
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright keeps a loop in this thread
    with machine.stores():
        ada = cast.person("ada")
        project = create_project(actor_id=ada.pk, slug="bench", name="Bench")
        cast.member(project, "lena", Role.LABELER)
        bulk.add_prompts(project, options.tasks + 10)
        bulk.write_completions(cast.make_round(project, ada), ANSWER)
        with machine.web() as site, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=services.chromium(), args=services.CHROMIUM_FLAGS
            )
            page = browser.new_page(base_url=site.url, viewport={"width": 1440, "height": 900})
            sign_in(page, "lena", "/label/bench")
            samples = label(page, options.tasks, options.pause_ms)
            browser.close()
    cuts = quantiles(samples, n=100)
    figures = {"p50_ms": round(cuts[49], 1), "p95_ms": round(cuts[94], 1), "tasks": len(samples)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
