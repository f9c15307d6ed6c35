"""A headless Chromium, driven through chromedriver's WebDriver protocol with the standard library alone."""

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

KEYS = {"down": "\ue015", "up": "\ue013", "enter": "\ue007", "end": "\ue010", "home": "\ue011", "page_down": "\ue00f", "tab": "\ue004"}
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"

# No name is resolved and every connection goes to a port where nothing listens: the network is cut.
ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run",
    "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9", "--enable-precise-memory-info",
]


def missing():
    """What is not installed, or None."""
    for name in ("chromedriver", "chromium"):
        if shutil.which(name) is None:
            return f"{name} is not installed (Debian: apt install chromium chromium-driver)"
    return None


class Browser:
    """One window. Close it with `close`."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="chatwal-browser-")
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.address = None
        for line in self.driver.stdout:
            found = re.search(r"on port (\d+)", line)
            if found and "successfully" in line:
                self.address = f"http://127.0.0.1:{found[1]}"
                break
        if self.address is None:
            raise RuntimeError("chromedriver did not start")
        options = {"binary": shutil.which("chromium"), "args": ARGUMENTS + [f"--user-data-dir={self.profile}"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.path = ""
        session = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.path = "/session/" + session["sessionId"]
        self.process = session["capabilities"].get("goog:processID")
        self.call("POST", "/timeouts", {"script": 60_000, "pageLoad": 60_000})

    def call(self, method, path, body=None):
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.address + self.path + path, data, {"Content-Type": "application/json"}, method=method)
        # The driver is on this machine, so a proxy of the environment is left aside.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.read().decode()[:2000]}") from None

    def close(self):
        try:
            self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.driver.stdout.close()
            shutil.rmtree(self.profile, ignore_errors=True)

    def open(self, path):
        """Opens a file and waits until the page says that it is drawn."""
        self.call("POST", "/url", {"url": "file://" + os.path.abspath(path)})
        self.wait("return document.documentElement.dataset.ready === 'true'")

    def run(self, script, *arguments):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def run_async(self, script, *arguments):
        return self.call("POST", "/execute/async", {"script": script, "args": list(arguments)})

    def wait(self, script, *arguments):
        """Until the script returns something true; 30 seconds at most."""
        body = ("const done = arguments[arguments.length - 1], given = [...arguments].slice(0, -1), end = performance.now() + 30000;"
                "const ask = function () { " + script + " };"
                "(function look() { const got = ask.apply(null, given); if (got || performance.now() > end) done(got); else setTimeout(look, 10); })();")
        got = self.run_async(body, *arguments)
        if not got:
            raise AssertionError(f"waited in vain for: {script}")
        return got

    def command(self, name, **parameters):
        """A command of the browser's debugging protocol."""
        return self.call("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def find(self, selector):
        return self.call("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector):
        self.call("POST", f"/element/{self.find(selector)}/click")

    def type(self, selector, text):
        element = self.find(selector)
        self.call("POST", f"/element/{element}/clear")
        if text:
            self.call("POST", f"/element/{element}/value", {"text": text})

    def keys(self, *names):
        """Presses keys where the focus is."""
        actions = [{"type": kind, "value": KEYS.get(name, name)} for name in names for kind in ("keyDown", "keyUp")]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def size(self, width, height):
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def media(self, **features):
        """Emulates media features: `media(prefers_color_scheme="dark")`; without any, none."""
        listed = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.command("Emulation.setEmulatedMedia", features=listed)

    def messages(self):
        """What the console was told since the last call."""
        return [entry["message"] for entry in self.call("POST", "/se/log", {"type": "browser"})]

    def pdf(self):
        page = {"page": {"width": 21.0, "height": 29.7}, "background": True, "shrinkToFit": False}
        return base64.b64decode(self.call("POST", "/print", page))

    def screenshot(self, path, whole=True):
        picture = self.command("Page.captureScreenshot", captureBeyondViewport=whole, format="png")
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture["data"]))
