#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What bash, zsh and fish make of the scripts that ktlsctl prints: for every command and option that --help shows, what they
complete. TAP on stdout; run from the top of the tree, with O= the build directory."""
import os
import pathlib
import pty
import re
import shlex
import subprocess
import sys
import tempfile
import threading

KTLSCTL = os.path.abspath(os.path.join(os.environ.get("O", "build"), "ktlsctl"))
PATIENCE = 60


def output(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE, **more).stdout


class Help:
    """What --help shows: of the program, or of one command."""

    def __init__(self, *command):
        self.command = command
        text = output(KTLSCTL, *command, "--help")
        self.flags, self.values, self.another = set(), {}, "[-- COMMAND...]" in text
        for letter, name, value in re.findall(r"^  (?:-(\w), |    )--([\w-]+)(?: ([A-Z:]+))? ", text, re.M):
            self.flags |= {"--" + name} | ({"-" + letter} if letter else set())
            if value:
                self.values["--" + name] = value
        self.commands = {name.strip(): operand.strip() for name, operand in re.findall(r"^  ([a-z].{10}) (.{16}) ", text, re.M)}

    def words(self, operand):
        """Of an operand that is one of several."""
        return set(operand.split("|")) if "|" in operand else set()

    def words_of_option(self, option):
        """As ktlsctl has them where it refuses another: "takes full, chain or none"."""
        run = subprocess.run([KTLSCTL, "--socket", "/nonexistent", *self.command, option, "@"], capture_output=True, text=True,
                             check=False, timeout=PATIENCE)
        words = re.split(", | or ", "".join(re.findall(r"^ktlsctl: usage: .* takes (.*)$", run.stderr)))
        return set(words) if not any(re.search(r"^$|\s", word) for word in words) else set()


# Each shell answers lines, which are lists of words of which the last is to be completed, with the set of what may stand there.

BASH = r"""
source {script}
while read -r line; do
    eval "COMP_WORDS=($line)"
    COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) COMPREPLY=()
    _ktlsctl ktlsctl
    printf '%s\n' "${{COMPREPLY[@]}}" --END--
done
"""


def ask_bash(script, lines, env):
    text = ""
    for line in lines:
        words = []
        for word in line:
            words += re.split("(=)", word) if word.startswith("--") and "=" in word else [word]
            if words[-1] == "" and words[-2:-1] == ["="]:
                words.pop()  # as bash has it
        text += shlex.join(words) + "\n"
    return output("bash", "--norc", "-c", BASH.format(script=script), input=text, **env)


FISH = r"""
source {script}
while read line
    complete -C "$line"
    echo --END--
end
"""


def ask_fish(script, lines, env):
    answers = output("fish", "--no-config", "-c", FISH.format(script=script),
                     input="".join(" ".join(line) + "\n" for line in lines), **env)
    return re.sub(r"\t.*", "", answers)


# A shell at a terminal, for completion happens nowhere else. What it is about to add goes to descriptor 9.
ZSH = r"""
PS1= PS2= RPS1=
setopt no_auto_list no_beep no_prompt_cr
fpath=({directory} $fpath)
autoload -Uz compinit && compinit -D -u
compadd() {{
    local -a hits
    if [[ ${{argv[1,(i)-]}} == *-[ADO]* ]]; then
        builtin compadd "$@"
        return
    fi
    builtin compadd -A hits "$@"
    (( $#hits )) && print -rl -u 9 -- $hits
    builtin compadd "$@"
}}
finish() {{ print -u 9 -- --END-- }}
"""


class Drain(threading.Thread):
    def __init__(self, fd):
        super().__init__(daemon=True)
        self.fd = fd
        self.start()

    def run(self):
        try:
            while os.read(self.fd, 65536):
                pass
        except OSError:
            pass


def ask_zsh(script, lines, env):
    directory = pathlib.Path(script).parent / "functions"
    directory.mkdir()
    (directory / "_ktlsctl").write_text(pathlib.Path(script).read_text(encoding="utf-8"), encoding="utf-8")
    start = directory.parent / "start.zsh"
    start.write_text(ZSH.format(directory=directory), encoding="utf-8")
    reader, writer = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        os.dup2(writer, 9)
        os.chdir(env["cwd"])
        os.execvpe("zsh", ["zsh", "-f", "-i"], {**env["env"], "TERM": "dumb"})
    os.close(writer)
    Drain(terminal)
    text = ""
    with os.fdopen(reader, encoding="utf-8") as answers:
        os.write(terminal, f"source {start}\n".encode())
        for line in lines:
            os.write(terminal, b"comppostfuncs=(finish)\n" + " ".join(line).encode() + b"\t")
            for answer in answers:
                text += answer
                if answer == "--END--\n":
                    break
            os.write(terminal, b"\x15")
        os.write(terminal, b"\x15exit\n")
    os.waitpid(pid, 0)
    return text


SHELLS = {"bash": ask_bash, "zsh": ask_zsh, "fish": ask_fish}


def cases():
    """Of the words of a line, the last to be completed: all that may stand there; None: nothing of ours."""
    program = Help()
    yield ["ktlsctl", ""], set(program.commands)
    yield ["ktlsctl", "-"], program.flags
    yield ["ktlsctl", "--socket", "connect", ""], set(program.commands)
    yield ["ktlsctl", "--socket=connect", ""], set(program.commands)
    yield ["ktlsctl", "--socket", ""], {"a file", "folder"}
    yield ["ktlsctl", "--socket="], {"a file", "folder"}
    yield ["ktlsctl", "frobnicate", "-"], set()
    for command, operand in program.commands.items():
        yield ["ktlsctl", command[:-1]], {name for name in program.commands if name.startswith(command[:-1])}
        of = Help(command)
        yield ["ktlsctl", command, "-"], of.flags
        yield ["ktlsctl", "--socket", "x", command, "-"], of.flags
        # Where no operand can be, zsh has the options at once.
        yield ["ktlsctl", command, "" if operand else "x"], of.words(operand)
        for option, value in of.values.items():
            wanted = {"a file", "folder"} if value in ("FILE", "PATH") else of.words_of_option(option)
            yield ["ktlsctl", command, option, ""], wanted
            yield ["ktlsctl", command, option + "="], wanted
            yield ["ktlsctl", command, option, "x", "-"], of.flags
        if of.another:
            yield ["ktlsctl", command, "a:1", "--", "ktls-program-of-"], {"ktls-program-of-test"}
            yield ["ktlsctl", command, "a:1", "--", "ktls-program-of-test", ""], {"a file", "folder"}


def normal(answer, line):
    """Shells differ in whether they repeat an option's name, quote blanks and end a folder's name."""
    answer = answer.removeprefix(line[-1]) if line[-1].endswith("=") else answer
    return answer.replace("\\", "").rstrip("/")


def faults(shell, directory):
    script = os.path.join(directory, shell)
    pathlib.Path(script).write_text(output(KTLSCTL, "completion", shell), encoding="utf-8")
    here = pathlib.Path(directory, shell + "-here")
    (here / "folder").mkdir(parents=True)
    (here / "a file").touch()
    programs = pathlib.Path(directory, shell + "-bin")
    programs.mkdir()
    (programs / "ktls-program-of-test").symlink_to("/bin/true")
    env = {"cwd": here, "env": {"PATH": f"{programs}:/usr/bin:/bin", "HOME": directory, "LC_ALL": "C.UTF-8"}}
    asked = list(cases())
    answers = SHELLS[shell](script, [line for line, _ in asked], env).split("--END--\n")
    if len(answers) != len(asked) + 1:
        yield f"{len(answers) - 1} answers to {len(asked)} lines"
    for (line, wanted), answer in zip(asked, answers):
        got = {normal(word, line) for word in answer.splitlines() if word}
        if got != wanted:
            yield f"{' '.join(line)!r}: {sorted(got)}, not {sorted(wanted)}"


def syntax(shell, directory):
    script = os.path.join(directory, shell + "-syntax")
    pathlib.Path(script).write_text(output(KTLSCTL, "completion", shell), encoding="utf-8")
    check = {"fish": ["fish", "--no-execute"]}.get(shell, [shell, "-n"])
    run = subprocess.run([*check, script], capture_output=True, text=True, check=False, timeout=PATIENCE)
    if run.returncode or run.stderr:
        yield f"{check} ends with {run.returncode}: {run.stderr}"


def main():
    failed, number = 0, 0
    print(f"1..{2 * len(SHELLS)}")
    with tempfile.TemporaryDirectory(prefix="ktlsctl-") as directory:
        for shell in SHELLS:
            for name, check in (("can read its script", syntax), ("completes every command and option", faults)):
                number += 1
                found = list(check(shell, directory))
                failed += bool(found)
                print(f"{'not ok' if found else 'ok'} {number} - {shell} {name}", flush=True)
                for fault in found:
                    print("# " + fault.replace("\n", " "), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
