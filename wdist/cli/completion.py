"""`wdist completion SHELL`: a script for bash, zsh or fish, generated from the actual commands.

The script contains all the words, so completion does not start Python.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module

from wdist.cli.output import Commands, say

HOW = {
    "bash": "wdist completion bash > ~/.local/share/bash-completion/completions/wdist",
    "zsh": 'wdist completion zsh > "${fpath[1]}/_wdist"',
    "fish": "wdist completion fish > ~/.config/fish/completions/wdist.fish",
}


@dataclass
class Node:
    """A command: its options with the words they take (None: no value; []: any), and the commands below it."""

    options: dict[str, list[str] | None] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    below: dict[str, Node] = field(default_factory=dict)


def add(commands: Commands, whole: Callable[[], argparse.ArgumentParser]) -> None:
    completion = commands.add_parser(
        "completion",
        help="print a script that completes commands and options",
        description="Print a script that completes commands and options.",
        epilog="; ".join(HOW.values()),
    )
    completion.add_argument("shell", choices=list(HOW))
    completion.set_defaults(run=lambda options: _completion(options.shell, whole()))


def _completion(shell: str, whole: argparse.ArgumentParser) -> int:
    tree = _node(whole)
    from wdist.verify.command import parser as verify

    tree.below["verify"] = _node(verify())
    try:
        client = import_module("wdist_client.command.parser")
    except ModuleNotFoundError:
        pass  # the client is not installed, so there is nothing to complete
    else:
        tree.below["remote"] = _node(client.parser("wdist remote"))
    say({"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](tree))
    return 0


def _node(parser: argparse.ArgumentParser) -> Node:
    node = Node()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            node.below = {name: _node(below) for name, below in action.choices.items()}
            node.texts |= {choice.dest: choice.help or "" for choice in action._choices_actions}
        elif not action.option_strings and action.choices:
            node.below = {str(choice): Node() for choice in action.choices}
        for option in action.option_strings:
            takes_none = action.nargs == 0
            node.options[option] = None if takes_none else [str(choice) for choice in action.choices or ()]
            node.texts[option] = action.help or ""
    return node


def _paths(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Every command with the words that lead to it, the shortest first."""
    yield path, node
    for name, below in node.below.items():
        yield from _paths(below, f"{path} {name}".strip())


def _cases(tree: Node) -> str:
    """A shell's `case`s: what may follow a command, and what the option before the cursor takes."""
    lines = ['  case "$so_far" in']
    takes = ['  case "$so_far $before_it" in']
    for path, node in _paths(tree):
        lines.append(f'    "{path}") subcommands="{" ".join(node.below)}" flags="{" ".join(sorted(node.options))}";;')
        for option, words in node.options.items():
            if words is not None:
                takes.append(f'    "{path} {option}") takes=1 choices="{" ".join(words)}";;')
    return "\n".join([*lines, "  esac", *takes, "  esac"])


# The words before the cursor that name a command; options and other words are stepped over. Then what can follow:
# values of the option before the cursor, else options where a dash is typed, else commands; nothing means files. (In
# zsh path, words, commands and options are not free to use: the shell's own variables.)
_SCRIPT = """  local known="{known}" so_far="" before_it="" subcommands="" flags="" choices="" takes="" word
  for word in "${{before[@]}}"; do
    case "$known" in *"|${{so_far:+$so_far }}$word|"*) so_far="${{so_far:+$so_far }}$word";; esac
    before_it="$word"
  done
{cases}
  found="$subcommands"
  if [[ -n $takes ]]; then found="$choices"; elif [[ $current == -* ]]; then found="$flags"; fi"""


def _script(tree: Node) -> str:
    known = "|" + "|".join(path for path, _ in _paths(tree) if path) + "|"
    return _SCRIPT.format(known=known, cases=_cases(tree))


def _bash(tree: Node) -> str:
    return f"""# wdist: completion for bash; source it, or: {HOW["bash"]}
_wdist() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" before=("${{COMP_WORDS[@]:1:COMP_CWORD-1}}") found
{_script(tree)}
  COMPREPLY=($(compgen -W "$found" -- "$current"))
}}
complete -o default -F _wdist wdist"""


def _zsh(tree: Node) -> str:
    return f"""#compdef wdist
# wdist: completion for zsh; {HOW["zsh"]}
_wdist_words() {{
  local current="$1" before=("${{@[2,-1]}}")
{_script(tree)}
}}
_wdist() {{
  local typed="${{words[CURRENT]}}" before=("${{(@)words[2,CURRENT-1]}}")
  () {{
    local found
    _wdist_words "$typed" "${{before[@]}}"
    reply=(${{=found}})
  }}
  if (( $#reply )); then compadd -a reply; else _files; fi
}}
if [[ $funcstack[1] == _wdist ]]; then _wdist "$@"; else compdef _wdist wdist; fi"""


def _fish(tree: Node) -> str:
    lines = [f"# wdist: completion for fish; {HOW['fish']}"]
    for path, node in _paths(tree):
        seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in path.split())
        alone = " ".join(node.below)
        here = seen or "true"
        if alone:
            here += f"; and not __fish_seen_subcommand_from {alone}"
        for name in node.below:
            lines.append(f"complete -c wdist -f -n '{here}' -a {name} -d {_quoted(node.texts.get(name, ''))}")
        for option, words in node.options.items():
            if not option.startswith("--"):
                continue
            takes = "" if words is None else f" -x -a '{' '.join(words)}'" if words else " -r"
            text = _quoted(node.texts.get(option, ""))
            lines.append(f"complete -c wdist -n '{here}' -l {option[2:]}{takes} -d {text}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    plain = text.replace("%(default)s", "").replace("\\", "").replace("'", "").replace("(default: )", "").strip()
    return f"'{plain}'"
