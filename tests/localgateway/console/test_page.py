"""The console's page in a real browser, with this project's application behind it."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.conftest import TABLE
from tests.support.browser import page as served
from tests.support.console import REBOUND, VIEWS, Console, chromium, opened
from tests.support.gateway import Gateway, age, serving
from tests.support.processes import children_running

pytestmark = pytest.mark.proof

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>'
WIDTHS = (360, 800, 1600)
QUIET = ("--schedule-every=3600", "--ttl-interval=3600")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run this application; the sweep runs by hand only, and no TTL deletes rows."""
    with serving(tmp_path_factory.mktemp("served") / "project", *QUIET) as gateway:
        yield gateway


@pytest.fixture
def console(browser: Browser, gateway: Gateway) -> Iterator[Console]:
    """Open the console; close its clients and turn its faults off at the end."""
    with opened(browser, gateway) as console:
        yield console
        console.show("try")
        console.page.get_by_role("button", name="No faults").click()
        console.said("No faults")
        console.close_clients()


def test_two_sockets_appear_with_their_rows(console: Console, gateway: Gateway) -> None:
    """Clients of somebody else, not the page's own."""
    page = console.page

    with connect(f"{gateway.url}?clientId=ada"), connect(f"{gateway.url}?clientId=grace"):
        for name in ("ada", "grace"):
            row = page.locator('.pair[data-verdict="match"]', has_text=name)
            expect(row).to_be_visible()
            expect(row).to_contain_text("agree")
            expect(row).to_contain_text("127.0.0.1")
        expect(console.number).to_have_text("0")
    expect(page.locator(".pair:visible", has_text="grace")).to_have_count(0)


def test_the_number_of_disagreements_is_the_largest_thing(console: Console) -> None:
    sizes = console.page.evaluate(
        "[...document.querySelectorAll('body *')].map(each =>"
        " [each.className, parseFloat(getComputedStyle(each).fontSize)])"
    )

    largest = max(size for _, size in sizes)
    assert [name for name, size in sizes if size == largest] == ["number"]
    assert sum(size > largest / 3 for _, size in sizes) == 1


def test_a_dropped_disconnect_is_a_disagreement_until_the_sweep(
    console: Console, gateway: Gateway
) -> None:
    page = console.page
    console.fault("drop_disconnects", "1")
    console.open_clients(1, "lost")
    page.get_by_role("button", name=re.compile(r"^Close \d+$")).first.click()
    console.show("truth")
    expect(console.number).to_have_text("1")
    row = page.locator('.pair[data-verdict="no_socket"]')
    expect(row).to_contain_text("row without a socket")
    expect(page.locator("nav .badge")).to_have_text("1")
    [orphan] = [row.locator("button").inner_text()]

    age(gateway, [orphan])
    page.get_by_role("button", name="Sweep", exact=True).click()

    expect(console.number).to_have_text("0")
    assert orphan not in gateway.rows()


def test_each_kind_of_disagreement_stands_out_by_word_and_shape(
    console: Console, gateway: Gateway
) -> None:
    """A row past its TTL, a socket without a row, and, without counting, a row being closed."""
    page = console.page
    names = {"expired": "old", "no_row": "bare", "closing": "going"}
    words = {"expired": "row past its TTL", "no_row": "no row", "closing": "being closed"}
    with ExitStack() as stack:
        ids = {}
        for verdict, name in names.items():
            stack.enter_context(connect(f"{gateway.url}?clientId={name}"))
            row = page.locator('.pair[data-verdict="match"]', has_text=name)
            ids[verdict] = row.locator("button").inner_text()
        change(gateway, ids["expired"], "ttl", {"N": str(int(time.time()) - 9)})
        gateway.dynamodb().delete_item(TableName=TABLE, Key={"connectionId": {"S": ids["no_row"]}})
        change(gateway, ids["closing"], "closing", {"S": "kicked"})

        expect(console.number).to_have_text("2")
        shapes = set()
        for verdict, word in words.items():
            row = page.locator(f'.pair[data-verdict="{verdict}"]', has_text=ids[verdict])
            expect(row).to_contain_text(word)
            shapes.add(row.locator("svg").inner_html())
        assert len(shapes) == len(words)
        page.locator('.chip[data-verdict="no_row"]').click()
        expect(page.locator(".pair:visible")).to_have_count(1)
        page.locator('.chip[data-verdict="no_row"]').click()


def change(gateway: Gateway, connection_id: str, name: str, value: Any) -> None:
    """Change an attribute of a row."""
    gateway.dynamodb().update_item(
        TableName=TABLE,
        Key={"connectionId": {"S": connection_id}},
        UpdateExpression="SET #name = :value",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":value": value},
    )


def test_a_table_that_cannot_be_read_is_reported(console: Console, gateway: Gateway) -> None:
    """The rows of the last reading stay, and count no disagreement."""
    page = console.page
    with connect(f"{gateway.url}?clientId=kept"):
        row = page.locator('.pair[data-verdict="match"]', has_text="kept")
        expect(row).to_be_visible()
        console.fault("dynamodb_fail", "1")
        console.show("truth")
        expect(page.locator(".warning")).to_contain_text("The table could not be read")
        expect(row).to_be_visible()
        expect(console.number).to_have_text("0")
        console.fault("dynamodb_fail", "0")
        console.show("truth")
        expect(page.locator(".warning")).to_be_hidden()


def test_the_page_goes_on_after_its_agent_was_killed(console: Console, gateway: Gateway) -> None:
    """Its clients are gone; another agent reads the table and opens clients."""
    page = console.page
    console.open_clients(1, "before")
    expect(page.get_by_text("No test client is open.")).to_be_hidden()
    [agent] = children_running("localgateway.console.agent", gateway.process.pid)

    agent.kill()

    expect(page.get_by_text("No test client is open.")).to_be_visible()
    console.open_clients(1, "after")
    console.show("truth")
    expect(page.locator('.pair[data-verdict="match"]', has_text="after")).to_be_visible()
    expect(page.locator(".pair:visible", has_text="before")).to_have_count(0)
    expect(console.number).to_have_text("0")


def test_a_notification_reaches_a_test_client(console: Console) -> None:
    """The client's card shows it, and the delivery that it was taken."""
    page = console.page
    console.open_clients(2, "reader")
    expect(page.locator(".clients > li")).to_have_count(2)

    page.get_by_label("Subject").fill("Database down")
    page.get_by_label("Message", exact=True).fill("Disk full")
    page.locator("#publish").click()

    for card in page.locator(".clients > li").all():
        expect(card.locator(".inbox")).to_contain_text("Disk full")
    console.show("deliveries")
    delivery = page.locator(".deliveries > li").first
    expect(delivery).to_contain_text("Database down")
    expect(delivery).to_contain_text("2 of 2 open")
    expect(delivery.get_by_role("img")).to_be_visible()


def test_a_lost_post_is_shown_as_lost(console: Console) -> None:
    """In the delivery, and in the life of the connection."""
    page = console.page
    console.fault("drop_posts", "1")
    console.open_clients(1, "deaf")
    page.locator("#publish").click()
    console.show("deliveries")
    delivery = page.locator(".deliveries > li").first
    expect(delivery.locator('[data-outcome="lost"] dd')).to_have_text("1")

    delivery.locator("summary").click()
    delivery.locator(".taken a").first.click()

    expect(page.locator('.life [data-fate="lost"]')).to_contain_text("lost")


def test_a_connection_is_kicked(console: Console, gateway: Gateway) -> None:
    """Its client sees 1000, and its life says why it ended."""
    page = console.page
    with connect(f"{gateway.url}?clientId=kickme") as client:
        console.lists("kickme")
        page.locator(".pair", has_text="kickme").locator("button").click()
        expect(page.locator(".facts").first).to_contain_text("kickme")
        page.get_by_role("button", name="Kick").click()
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=30)
        code = client.close_code

    expect(page.locator(".why")).to_contain_text("code 1000")
    expect(page.locator(".why")).to_contain_text("$disconnect delivered")
    assert code == 1000


def test_markup_of_a_client_is_text(console: Console, gateway: Gateway) -> None:
    """In each view that shows a user agent, a message, a subprotocol or a notification."""
    page = console.page
    with connect(
        f"{gateway.url}?clientId=eve&x={HOSTILE.replace(' ', '%20')}",
        user_agent_header=HOSTILE,
    ) as client:
        client.send(json.dumps({"action": HOSTILE}))
        client.recv(timeout=30)
        topic = gateway.client("sns").list_topics()["Topics"][0]["TopicArn"]
        gateway.client("sns").publish(TopicArn=topic, Message=HOSTILE, Subject="<b>bold</b>")
        console.lists("eve")
        page.locator(".pair", has_text="eve").locator("button").click()
        expect(page.locator(".facts").first).to_contain_text(HOSTILE)
        expect(page.locator(".events")).to_contain_text(HOSTILE)
        expect(page.locator(".taken")).to_contain_text("<b>bold</b>")
        console.show("timeline")
        page.get_by_label("Search").fill("message")
        page.locator(".item:visible button").first.click()
        expect(page.locator(".details pre").first).to_contain_text("onerror")
        console.show("deliveries")
        expect(page.locator(".deliveries > li").first).to_contain_text(HOSTILE)

    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, main script").count() == 0


def test_a_function_that_fails_is_found_by_the_errors_filter(
    console: Console, gateway: Gateway
) -> None:
    """With its event, its answer and its log, and copies of both kinds."""
    page = console.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    with connect(f"{gateway.url}?clientId=pinger") as client:
        client.send('{"action": "nonsense"}')
        client.recv(timeout=30)
    console.show("timeline")
    page.get_by_label("Function").select_option(label="message")
    page.get_by_label("Search").fill("pinger")
    item = page.locator(".item:visible").first
    expect(item).to_contain_text("200")
    page.get_by_label("Errors only").check()
    expect(page.get_by_text("No event matches.")).to_be_visible()
    page.get_by_label("Errors only").uncheck()

    item.locator("button").click()
    expect(page.locator(".details")).to_contain_text("nonsense")
    page.get_by_role("button", name="Copy as a test").click()
    console.said("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    page.keyboard.press("Escape")

    expect(page.locator(".details")).to_be_hidden()
    run_copied(copied)


def run_copied(text: str) -> None:
    """Run a test that was copied from the page, in this process."""
    namespace: dict[str, Any] = {}
    exec(compile(text, "copied", "exec"), namespace)  # noqa: S102 - it is what a developer does
    [test] = [value for name, value in namespace.items() if name.startswith("test_")]
    test()


def test_the_timeline_can_be_paused_and_cleared(console: Console, gateway: Gateway) -> None:
    page = console.page
    console.show("timeline")
    page.get_by_role("button", name="Pause").click()

    with connect(f"{gateway.url}?clientId=unseen"):
        gateway.wait(lambda: any("unseen" in line for line in gateway.said))
    page.get_by_label("Search").fill("unseen")
    expect(page.locator(".item:visible")).to_have_count(0)
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".item:visible").first).to_be_visible()
    page.get_by_role("button", name="Clear").click()

    expect(page.locator(".item:visible")).to_have_count(0)


def test_metrics_are_drawn_with_their_figures(console: Console, gateway: Gateway) -> None:
    with connect(f"{gateway.url}?clientId=measured"):
        console.show("metrics")
        card = console.page.locator(".metric", has_text="Opened")
        expect(card).to_be_visible()
        expect(card.get_by_role("img")).to_have_attribute("aria-label", re.compile("Opened: [1-9]"))
        card.locator("summary").click()

        expect(card.locator("table")).to_be_visible()


def test_an_execution_environment_can_be_restarted(console: Console, gateway: Gateway) -> None:
    page = console.page
    with connect(f"{gateway.url}?clientId=warm"):
        console.show("try")
        stop = page.get_by_role(
            "button", name=re.compile("Restart environment .* of connect")
        ).first
        pid = re.findall(r"\d+", stop.get_attribute("aria-label") or "")[0]
        stop.click()

        console.said(f"Restarted {pid} of connect")
        gone = page.get_by_role("button", name=f"Restart environment {pid} of connect")
        expect(gone).to_have_count(0)


def test_without_the_token_the_page_says_what_to_do(console: Console, browser: Browser) -> None:
    """The address bar does not keep it, so a reload needs the address again."""
    page = browser.new_page(locale="en-US")
    address = console.address
    assert address.partition("#")[2] not in console.page.url
    page.goto(address.partition("#")[0] + "#/truth")

    expect(page.get_by_role("heading")).to_have_text("Open the address that the gateway printed")
    assert "python -m localgateway.client console" in page.content()
    page.close()


STRANGER = """<script type="module">
const said = {};
for (const base of ["BASE", "http://REBOUND:PORT/@console/"]) {
  for (const [path, options] of [
    ["", {}], ["main.js", {}], ["api/state", {headers: {Authorization: "Bearer TOKEN"}}],
    ["api/stream", {headers: {Authorization: "Bearer TOKEN"}}],
    ["api/actions/open", {method: "POST", body: '{"count": 1, "client_id": "evil"}'}],
    ["api/actions/open", {method: "POST", body: '{"count": 1, "client_id": "evil"}',
                          headers: {Authorization: "Bearer TOKEN"}}],
    ["api/actions/open", {method: "POST", mode: "no-cors", body: '{"count": 1}'}],
  ]) {
    const name = `${Object.keys(said).length} ${base}${path}`;
    try {
      const answer = await fetch(base + path, options);
      said[name] = `${answer.type} ${answer.status}`;
    } catch { said[name] = "refused"; }
  }
}
const frame = document.createElement("iframe");
frame.src = "BASE";
document.body.append(frame);
await new Promise((done) => (frame.onload = done));
said.frame = frame.contentDocument ? "readable" : "blocked";
fetch("/", {method: "POST", body: JSON.stringify(said)});
</script><body></body>"""


def test_another_origin_and_a_rebound_host_get_nothing(
    browser: Browser, console: Console, gateway: Gateway
) -> None:
    """Not even with the token."""
    base, token = console.address.split("#")
    port = base.split(":")[2].partition("/")[0]
    marks = {"BASE": base, "TOKEN": token, "REBOUND": REBOUND, "PORT": port}
    html = STRANGER
    for mark, text in marks.items():
        html = html.replace(mark, text)

    with served(html) as (url, reports):
        page = browser.new_page()
        page.goto(url)
        said = json.loads(reports.get(timeout=60))
        page.goto(f"http://{REBOUND}:{port}/@console/#{token}")
        rebound = page.content()
        page.close()

    assert said.pop("frame") == "blocked"
    assert len(said) == 14
    assert set(said.values()) <= {"refused", "opaque 0"}, said
    assert "expected one of" in rebound
    assert not any("evil" in line for line in gateway.said)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, gateway: Gateway, scheme: Any) -> None:
    """In each view, empty and full, with details open."""
    with (
        opened(browser, gateway, color_scheme=scheme) as console,
        connect(f"{gateway.url}?clientId=axe") as client,
    ):
        client.send('{"action": "ping"}')
        console.lists("axe")
        found = {}
        for view in VIEWS:
            console.show(view)
            if view == "timeline":
                console.page.locator(".item:visible button").first.click()
                expect(console.page.locator(".details pre").first).to_be_visible()
            found[view] = console.violations()
        console.show("truth")
        console.page.locator(".pair:visible button").first.click()
        console.page.locator(".life").wait_for()
        found["life"] = console.violations()

    assert {view: problems for view, problems in found.items() if problems} == {}


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(browser: Browser, gateway: Gateway, width: int) -> None:
    size = {"width": width, "height": 900}
    with ExitStack() as stack:
        stack.enter_context(connect(f"{gateway.url}?clientId={'w' * 100}"))
        console = stack.enter_context(opened(browser, gateway, viewport=size))
        console.lists("www")
        console.page.locator(".pair:visible button").first.click()
        console.page.locator(".life").wait_for()
        over = {"life": overflow(console)}
        for view in VIEWS:
            console.show(view)
            over[view] = overflow(console)

    assert {view: px for view, px in over.items() if px} == {}


def overflow(console: Console) -> int:
    """Return by how many px the page can be scrolled sideways."""
    px: int = console.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return max(0, px)


def test_everything_works_by_keyboard_alone(browser: Browser, gateway: Gateway) -> None:
    """Skip link, views, forms, lists and details."""
    with opened(browser, gateway) as console:
        page = console.page
        press = page.keyboard.press

        press("Tab")
        assert focused(console) == "Skip to the content"
        tab_to(console, "Try")
        press("Enter")
        page.locator('main[data-view="try"]').wait_for()
        tab_to(console, "Open")
        press("Enter")
        console.said("Opened 1")
        tab_to(console, "Connections", back=True)
        press("Enter")
        console.lists("ada")
        tab_to(console, page.locator(".pair:visible button").first.inner_text())
        press("Enter")
        page.locator(".life").wait_for()
        expect(page.locator(".life h1")).to_be_visible()
        tab_to(console, "Timeline", back=True)
        press("Enter")
        page.locator(".item:visible").first.wait_for()
        page.get_by_role("button", name="Pause").focus()
        press("Enter")
        tab_to(console, page.locator(".item:visible button").first.inner_text())
        press("ArrowDown")
        assert focused(console) == page.locator(".item:visible button").nth(1).inner_text()
        press("End")
        press("Home")
        press("Enter")
        expect(page.locator(".details h2")).to_be_focused()
        press("Escape")
        expect(page.locator(".details")).to_be_hidden()
        assert page.evaluate("document.activeElement.closest('.item') !== null")
        console.show("try")
        page.get_by_role("button", name="Close all").click()
        expect(page.get_by_text("No test client is open.")).to_be_visible()


def tab_to(console: Console, text: str, *, back: bool = False) -> None:
    """Press Tab until an element with this text has the focus."""
    for _ in range(120):
        console.page.keyboard.press("Shift+Tab" if back else "Tab")
        if focused(console) == text:
            return
    pytest.fail(f"no element {text!r} is reached by Tab")


def focused(console: Console) -> str:
    """Return the text of the element with the focus."""
    text: str = console.page.evaluate("document.activeElement.innerText ?? ''")
    return text.splitlines()[0] if text else ""


def test_the_language_is_the_browsers_or_the_chosen_one(browser: Browser, gateway: Gateway) -> None:
    with opened(browser, gateway, locale="ko-KR") as console:
        page = console.page
        expect(page.locator("html")).to_have_attribute("lang", "ko")
        expect(page.locator("nav")).to_contain_text("타임라인")

        page.get_by_label("언어").select_option("en")

        expect(page.locator("html")).to_have_attribute("lang", "en")
        expect(page.locator("nav")).to_contain_text("Timeline")


def test_both_languages_have_the_same_texts() -> None:
    """With the same placeholders."""
    folder = Path(__file__).parents[3] / "localgateway" / "console" / "page"
    texts = {}
    for tag in ("en", "ko"):
        source = (folder / f"texts.{tag}.js").read_text(encoding="utf-8")
        pairs = re.findall(r'^  "([^"]+)": "((?:[^"\\]|\\.)*)",$', source, re.MULTILINE)
        texts[tag] = {name: set(re.findall(r"\{(\w+)\}", text)) for name, text in pairs}
    used = {
        name
        for path in folder.glob("*.js")
        for name in re.findall(r'\bt\("([\w.]+)"', path.read_text(encoding="utf-8"))
    }

    assert texts["en"] == texts["ko"]
    assert used <= set(texts["en"])


def test_times_show_utc_on_hover_and_durations_a_fitting_unit(
    console: Console, gateway: Gateway
) -> None:
    with connect(f"{gateway.url}?clientId=clock"):
        console.show("timeline")
        item = console.page.locator(".item:visible", has_text="connect · $connect").first

        expect(item.locator("time")).to_have_attribute("title", re.compile(r"^\d{4}-.* UTC$"))
        expect(item.locator(".took")).to_have_text(re.compile(r"^\d+(\.\d)? (ms|s)$"))


def test_motion_is_reduced_on_request(browser: Browser, gateway: Gateway) -> None:
    with opened(browser, gateway, reduced_motion="reduce") as console:
        moving = console.page.evaluate(
            "[...document.querySelectorAll('*')].filter(each => getComputedStyle(each)"
            ".transitionDuration.split(', ').some(part => part !== '0s')).length"
        )

    assert moving == 0
