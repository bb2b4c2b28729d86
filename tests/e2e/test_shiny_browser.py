"""Shiny in a real Chromium, behind faucet under a prefix, two workers: slider, upload, download."""
import hashlib
import os
import re
import shutil
import tempfile

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from faucet import APPS
from wire import until


@pytest.fixture(scope="module")
def f(module_faucet):
    return module_faucet({"apps": {"shiny": {"dir": APPS + "/shiny", "workers": 2}}})


@pytest.fixture
def browser():
    profile, downloads = tempfile.mkdtemp(prefix="chromium"), tempfile.mkdtemp(prefix="downloads")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
                 "--disable-sync", "--disable-dev-shm-usage", "--no-proxy-server", "--user-data-dir=" + profile):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": downloads, "download.prompt_for_download": False})
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    driver.set_page_load_timeout(60)
    driver.downloads = downloads
    yield driver
    driver.quit()
    shutil.rmtree(profile, ignore_errors=True)
    shutil.rmtree(downloads, ignore_errors=True)


def text(browser, id_):
    return browser.find_element(By.ID, id_).text


def opened(f, browser):
    browser.get(f.url("/shiny/"))
    until(lambda: text(browser, "text") == "n is 10", 30, "the session is live")
    return browser



def test_slider(f, browser):
    opened(f, browser)
    before = text(browser, "text")
    browser.execute_script("$('#n').data('ionRangeSlider').update({from: 42}); $('#n').trigger('change')")
    until(lambda: text(browser, "text") == "n is 42", 15, "the text follows the slider; it is %r" % text(browser, "text"))
    assert before != "n is 42"
    handle = browser.find_element(By.CSS_SELECTOR, ".irs-line")
    handle.click()       # a real mouse press in the middle of the bar
    until(lambda: re.match(r"n is (4[5-9]|5[0-5])$", text(browser, "text")), 15, "the text follows the mouse; it is %r" % text(browser, "text"))


def test_upload(f, browser, tmp_path):
    opened(f, browser)
    path = tmp_path / "upload.bin"
    content = os.urandom(5 << 20)
    path.write_bytes(content)
    browser.find_element(By.ID, "file").send_keys(str(path))
    expected = "got upload.bin %d %s" % (len(content), hashlib.md5(content).hexdigest())
    until(lambda: text(browser, "upload") == expected, 30, "the file arrived: %r" % text(browser, "upload"))


def test_download(f, browser):
    opened(f, browser)
    browser.find_element(By.ID, "download").click()
    path = os.path.join(browser.downloads, "numbers.csv")
    until(lambda: os.path.exists(path) and os.path.getsize(path), 30, "the file was downloaded")
    assert open(path).read() == "".join("%d\n" % i for i in range(1, 11))


def test_every_request_of_a_session_reaches_its_worker(f, browser):
    """Two browsers' worth of sessions over two workers: the follow-up requests find theirs each time."""
    for _ in range(4):
        browser.delete_all_cookies()
        opened(f, browser)
        pid = until(lambda: text(browser, "pid"), 10)
        assert re.match(r"pid \d+$", pid)
        browser.find_element(By.ID, "download").click()
        path = os.path.join(browser.downloads, "numbers.csv")
        until(lambda: os.path.exists(path) and os.path.getsize(path), 30, "the download reached the worker of the session")
        os.unlink(path)
    cookie = browser.get_cookie("FAUCET_LB_COOKIE")
    assert cookie and cookie["httpOnly"] and cookie["path"] == "/" and cookie["sameSite"] == "Lax"
