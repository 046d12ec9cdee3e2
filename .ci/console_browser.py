"""Drives the console of a running `dev` with Chromium, as an operator does, and checks each screen with axe-core.
Arguments: the folder with `dev.log`, `data` and `screens`, and the file of axe-core."""

import json
import pathlib
import sys
import time
import urllib.request

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

MAX_WAIT_SECONDS = 60
# Impacts of axe-core that fail the run.
REFUSED_IMPACTS = {"serious", "critical"}
MAX_SCREENSHOT_BYTES = 150_000
WIDTHS = {"wide": 1280, "narrow": 390}
HEIGHT = 900

folder = pathlib.Path(sys.argv[1])
axe = pathlib.Path(sys.argv[2]).read_text()


def until(what, condition):
    """Returns the first true result of `condition`."""
    deadline = time.monotonic() + MAX_WAIT_SECONDS
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    sys.exit(f"after {MAX_WAIT_SECONDS} s: {what}")


def printed(begin):
    """Returns what `dev` has printed after `begin`."""
    lines = (folder / "dev.log").read_text().splitlines()
    return next((line.split(begin, 1)[1].strip() for line in lines if begin in line), None)


def call(method, path, body=None):
    request = urllib.request.Request(
        dev["url"] + path,
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"authorization": f"Bearer {dev['adminKey']}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def browser():
    options = webdriver.ChromeOptions()
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={folder / 'profile'}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.binary_location = "/usr/bin/chromium"
    service = webdriver.ChromeService(executable_path="/usr/bin/chromedriver")
    return webdriver.Chrome(options=options, service=service)


def find(selector):
    return page.find_element(By.CSS_SELECTOR, selector)


def text():
    return find("main").text


def shows(words):
    # The live part may be replaced while it is read.
    def is_shown():
        try:
            return words in text()
        except Exception:
            return False

    until(f"the page {page.current_url} does not show “{words}”", is_shown)


def click(xpath):
    button = WebDriverWait(page, MAX_WAIT_SECONDS).until(lambda _: page.find_element(By.XPATH, xpath))
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()


def confirm(label):
    """Opens the form with this label, and sends it."""
    click(f"//summary[normalize-space()='{label}…']")
    click(f"//details[summary[normalize-space()='{label}…']]//button[normalize-space()='{label}']")


def emulate(width, scheme):
    metrics = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def screen(name):
    """Checks the page at each width and in each colour scheme, and takes its screenshots."""
    for width_name, width in WIDTHS.items():
        for scheme in ("light", "dark"):
            emulate(width, scheme)
            page.execute_script(axe)
            found = page.execute_async_script(
                "const done = arguments[0]; axe.run(document).then((found) => done(found.violations))"
            )
            for violation in found:
                if violation["impact"] in REFUSED_IMPACTS:
                    nodes = [node["html"] for node in violation["nodes"][:3]]
                    failures.append(f"{name} {width_name} {scheme}: {violation['id']} {violation['help']} {nodes}")
            wide = page.execute_script("return document.documentElement.scrollWidth")
            if wide > width:
                failures.append(f"{name} {width_name}: the page is {wide} px wide")
            file = folder / "screens" / f"{name}-{width_name}-{scheme}.png"
            page.save_screenshot(str(file))
            if file.stat().st_size > MAX_SCREENSHOT_BYTES:
                failures.append(f"{file.name} has {file.stat().st_size} bytes")
    emulate(WIDTHS["wide"], "light")


def step(name):
    print(f"--- {name} (after {time.monotonic() - started:.0f} s)", flush=True)


started = time.monotonic()
failures = []
link = until("dev prints no link", lambda: printed("open: "))
dev = json.loads((folder / "data" / "dev.json").read_text())
page = browser()
page.set_script_timeout(30)
try:
    step("a wrong key is refused, and the admin key opens the console")
    page.get(dev["url"])
    find("#key").send_keys("afk_bootstrap_wrong" + Keys.ENTER)
    shows("a valid API key is required")
    screen("sign-in")
    find("#key").send_keys(dev["adminKey"] + Keys.ENTER)
    shows("Begin here")
    screen("home-empty")
    click("//button[.='Sign out']")
    shows("You are signed out.")

    step("the link of dev opens the phone once")
    page.get(link)
    shows("plays the Telegram app")
    page.delete_all_cookies()
    page.get(link)
    shows("This link was used before")
    click("//a[.='Sign in with the admin key']")
    find("#key").send_keys(dev["adminKey"] + Keys.ENTER)

    step("a message on the phone appears and is answered")
    page.get(dev["url"] + "/console/phone")
    find("#text").send_keys("hello <script>alert(1)</script>" + Keys.ENTER)
    shows("hello <script>alert(1)</script>")
    shows("Hello, I am the demo agent.")
    screen("phone")
    click("//a[contains(., 'as an operator sees it')]")
    shows("Hello, I am the demo agent.")
    shows("sent")
    screen("conversation")

    step("a message becomes a dead letter, and its retry is answered")
    call("PUT", "/v1/config/policies", {"retry": {"maxAttempts": 1}})
    time.sleep(11)  # Functions keep policies for ten seconds.
    (folder / "broken").touch()
    page.get(dev["url"] + "/console/phone")
    find("#text").send_keys("what is new?" + Keys.ENTER)
    page.get(dev["url"] + "/console/queue?state=dead_letter")
    shows("dead letter")
    screen("queue")
    page.get(dev["url"] + "/console")
    shows("gave up on")
    screen("home")
    click("//main//li[contains(., 'gave up on')]/a[2]")
    shows("Why:")
    screen("message")
    (folder / "broken").unlink()
    click("//button[.='Retry']")
    shows("The message is queued again.")
    until("the retried message is not done", lambda: page.refresh() or "it has ended: done" in text())

    step("keys: search and rows")
    page.get(dev["url"] + "/console/agents")
    find("body").send_keys("j")
    if page.switch_to.active_element.text != "demo":
        failures.append("the key j does not move to the first row")
    find("body").send_keys("?")
    if not find("#help").is_displayed():
        failures.append("the key ? shows no help")
    find("#help button").click()
    screen("agents")
    page.get(dev["url"] + "/console/agents/demo")
    screen("agent")
    find("body").send_keys("/")
    page.switch_to.active_element.send_keys("demo-user" + Keys.ENTER)
    shows("what is new?")

    step("a worker is drained")
    page.get(dev["url"] + "/console/workers")
    shows("active")
    screen("workers")
    confirm("Drain")
    shows("The worker drains")
    until("no worker drains", lambda: page.refresh() or "operator" in text() or "No worker is alive" in text())

    step("a policy is changed")
    page.get(dev["url"] + "/console/settings")
    screen("settings")
    field = find("input[aria-label='retry.maxAttempts']")
    field.clear()
    field.send_keys("5" + Keys.ENTER)
    shows("The policy is set.")
    if call("GET", "/v1/config/policies")["retry"]["maxAttempts"]["value"] != 5:
        failures.append("the policy has another value")

    step("the clock is moved, and a broadcast is shown")
    page.get(dev["url"] + "/console/phone")
    click("//button[.='+1 min']")
    shows("The clock has moved")
    call("POST", "/v1/broadcasts", {"title": "News", "text": "We have moved."})
    page.get(dev["url"] + "/console/push")
    shows("News")
    screen("push")

    blocked = [entry["message"] for entry in page.get_log("browser") if "Content Security Policy" in entry["message"]]
    failures.extend(blocked)
finally:
    page.quit()
if failures:
    sys.exit("\n".join(failures))
step("everything passed")
