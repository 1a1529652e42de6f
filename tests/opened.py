"""A page in a real browser."""

from pathlib import Path


class Opened:
    """A page with what went wrong in it."""

    def __init__(
        self, browser, path: Path | str, *, fragment: str = "", width: int = 1400, scheme: str = "light"
    ) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.problems: list[str] = []
        self.page.on(
            "console", lambda said: self.problems.append(said.text) if said.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requested(request.url))
        self.address = path.as_uri() if isinstance(path, Path) else path
        self.page.goto(f"{self.address}{fragment}")
        self.page.wait_for_selector("html[data-ready=yes]", state="attached", timeout=60_000)

    def requested(self, url: str) -> None:
        if not url.startswith((self.address, "file:", "data:", "blob:")):
            self.problems.append(url)

    def run(self, code: str, argument: object = None) -> object:
        return self.page.evaluate(code, argument)

    def wait_until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true. (The page's own policy forbids the eval of wait_for_function.)"""
        for _ in range(2400):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(50)
        said = self.page.inner_text("#live")
        raise AssertionError(f"never became true: {expression} ({said})")

    def go(self, epoch: int) -> None:
        self.run("epoch => { grokviz.state.set({ epoch }); grokviz.state.tell(); }", epoch)

    @property
    def epoch(self) -> int:
        return self.run("grokviz.state.get('epoch')")

    @property
    def tabs(self) -> list[str]:
        """The names of the tabs that there are."""
        return self.run("Array.from(document.querySelectorAll('[role=tab]'), tab => tab.dataset.tab)")

    def show(self, tab: str) -> None:
        self.page.click(f"#to-{tab}")
        self.run("tab => { grokviz.state.tell(); document.getElementById(`tab-${tab}`).scrollIntoView(); }", tab)
