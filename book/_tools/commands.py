"""The command reference, written from the command line's own help when the pages are built."""

import re
import sys

from _tools import ROOT


def command_reference() -> str:
    """One section per command, as MyST: what it does, how it is called, examples, arguments and options."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))  # the package of this checkout, even if another version is installed
    import typer

    from spicemix_core.command_line import app

    program = typer.main.get_command(app)
    context = program.make_context("spicemix", [], resilient_parsing=True)
    return "\n\n".join(section for name in program.list_commands(context)
                       for section in _sections(program.get_command(context, name), f"spicemix {name}"))


def _sections(command, path):
    """Sections of a command, or of all commands below it."""
    context = command.make_context(path, [], resilient_parsing=True)
    below = [] if not hasattr(command, "list_commands") else command.list_commands(context)
    parts = [f"({path.replace(' ', '-')})=\n## {path}", _told(command.help)]
    if not below:
        pieces = " ".join(command.collect_usage_pieces(context))
        parts += [f"```text\n{path} {pieces}\n```", _definitions(command, context)]
    own = "\n\n".join(filter(None, parts))
    return [own, *(section for name in below for section in _sections(command.get_command(context, name),
                                                                      f"{path} {name}"))]


def _told(text):
    """Help as MyST: paragraphs, and blocks that keep their lines (examples) as shell commands."""
    parts = []
    for paragraph in re.split(r"\n\s*\n", re.sub(r"(?m)^    ", "", text.strip())):
        if paragraph.lstrip().startswith("\b"):
            title, *lines = paragraph.strip().lstrip("\b").strip("\n").splitlines()
            parts.append(f"{title}\n\n```bash\n" + "\n".join(line.strip() for line in lines) + "\n```")
        else:
            parts.append(_escaped(" ".join(paragraph.split())))
    return "\n\n".join(parts)


def _definitions(command, context):
    """Arguments and options as a list of definitions, which fits any width, in the class ``options``."""
    entries = []
    for parameter in command.get_params(context):
        if (record := parameter.get_help_record(context)) and "--help" not in record[0]:
            names, text = (" ".join(part.split()) for part in record)
            entries.append(f"`{names}`\n: {_escaped(text)}")
    return "\n\n".join([":::{div} options", *entries, ":::"])


def _escaped(text):
    """Text as MyST: options and places in the data become code; markup characters outside code are escaped."""
    text = re.sub(r"(?<![`\w])(obs[mp]\['\w+'\])(?!`)", r"`\1`", text)
    text = re.sub(r"(?<![`\w-])(--[a-z-]+)(?![^`]*`(?:[^`]*`[^`]*`)*[^`]*$)", r"`\1`", text)
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([<>*_\[\]$])", r"\\\1", part) for part in parts)
