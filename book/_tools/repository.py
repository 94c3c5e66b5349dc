"""Links to the repository: all of them come from ``repository: url`` in ``book/_config.yml``."""

CHECKOUT = "git clone {url} spicemix\ncd spicemix\n"
IN_A_CELL = """In Colab, or in any other notebook service:

```
!git clone {url} spicemix
%cd spicemix
!pip install -e '.[book]'
!python book/build.py --profile quick --chapter simulation
```"""


def add_links(config: dict) -> dict[str, str]:
    """Add the buttons for repository, issues and edits to a configuration, in place; return substitutions of pages.

    Without an address there are no buttons, and the substitutions do not mention one.

    Parameters
    ----------
    config : dict
        From ``_config.yml``. The entry ``repository`` is removed where it has no address.

    Returns
    -------
    dict of str to str
        Markdown for ``{{ install }}``, ``{{ checkout }}`` and ``{{ notebook_service }}``.
    """
    url = (config.get("repository", {}).get("url") or "").rstrip("/")
    if not url:
        config.pop("repository", None)
        return {"install": code("pip install .  # in the project's folder"), "checkout": "",
                "notebook_service": ""}
    config["repository"] |= {"url": url, "path_to_book": "book"}
    config.setdefault("html", {}).update(use_repository_button=True, use_issues_button=True, use_edit_page_button=True)
    return {"install": code(f"pip install git+{url}"), "checkout": code(CHECKOUT.format(url=url)),
            "notebook_service": IN_A_CELL.format(url=url)}


def code(text: str) -> str:
    """A block of shell commands."""
    return f"```bash\n{text.rstrip()}\n```"
