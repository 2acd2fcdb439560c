"""The ways into a rating server, and what every reply carries."""

from studies import Browser

from pir_tf.people import pools

HEADERS = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
}


ORIGIN = "https://shop.example"


def path_of(server, study, which=1):
    """The path of a study's link: 1 for raters, 2 for the owner."""
    return next(links[which] for links in server.links() if links[0] == study).split("/", 3)[3]


def rater(server, study="one"):
    return Browser(server, path_of(server, study)).join()


def owner(server, study="one"):
    browser = Browser(server, path_of(server, study, 2))
    assert browser.ask("GET", "/" + browser.link)[0] == 200
    return browser


def secret(server, study="one", column="server_secret"):
    with server.store.reading() as connection:
        return pools.require(connection, study)[column]


def bearer(server, study="one"):
    return {"Authorization": f"Bearer {secret(server, study)}"}


def check_headers(headers):
    for name, value in HEADERS.items():
        assert headers.get_all(name) == [value], name
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert "server" not in {name.lower() for name in headers}
