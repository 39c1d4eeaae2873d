"""Makes the pictures of docs/console.md. Needs Debian's chromium.

console_screens.py            the pictures of the page
console_screens.py FOLDER     each page, 1280 and 390 pixels wide, light and dark, in FOLDER
"""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from support.browser import base_of, chromium, context_of, enter, fill
from support.local_server import LocalServer
from support.servers import Server

PAGES = {
    "access": "/console/",
    "user": "/console/users/2",
    "users": "/console/users",
    "new-user": "/console/users/new",
    "databases": "/console/databases",
    "database": "/console/databases/3",
    "keys": "/console/keys",
    "new-key": "/console/keys/new?user=ann",
    "sessions": "/console/sessions",
    "audit": "/console/audit",
    "account": "/console/account",
    "error": "/console/users/999",
}
WIDTHS = {"wide": 1280, "narrow": 390}
# The pictures of docs/console.md.
CHOSEN = {
    *("access-wide-light", "rights-wide-light", "key-made-wide-light", "audit-wide-light"),
    *("access-wide-dark", "access-narrow-light"),
}


def draw(browser: Browser, server: Server, folder: Path) -> None:
    """Writes a picture of each page, for each width and each colour scheme, to *folder*."""
    for width, pixels in WIDTHS.items():
        for scheme in ("light", "dark"):
            context = context_of(
                browser,
                viewport={"width": pixels, "height": 800},
                color_scheme=scheme,
                reduced_motion="reduce",
            )
            page = context.new_page()
            page.goto(f"{base_of(server)}/login")
            page.screenshot(path=folder / f"sign-in-{width}-{scheme}.png")
            enter(page, base_of(server))
            for name, path in PAGES.items():
                page.goto(base_of(server) + path)
                page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
            page.goto(base_of(server) + "/console/keys/new?user=bob")
            page.get_by_label("Name of the key").fill(f"script {width} {scheme}")
            page.get_by_role("group", name="shop").get_by_label("READ").check()
            page.get_by_role("button", name="Make key").click()
            page.screenshot(path=folder / f"key-made-{width}-{scheme}.png", full_page=True)
            page.goto(base_of(server) + "/console/users/3")
            page.get_by_role("group", name="web").get_by_label("WRITE").check()
            page.screenshot(path=folder / f"rights-{width}-{scheme}.png", full_page=True)
            context.close()


def main() -> None:
    """Starts a server with data and a browser, and writes the pictures."""
    with tempfile.TemporaryDirectory() as temporary, chromium() as browser:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary) / "pictures"
        folder.mkdir(exist_ok=True)
        environment = {"HEADGATE_AUTH_BCRYPT_COST": "4"}
        server = LocalServer(Path(temporary) / "users.db", (), environment).start()
        try:
            fill(server)
            draw(browser, server, folder)
        finally:
            server.stop()
        if len(sys.argv) == 1:
            for name in CHOSEN:
                shutil.copy(folder / f"{name}.png", Path(__file__).parent / "console")


if __name__ == "__main__":
    main()
