"""Machines for a test: Linux namespaces, each with an address, processes, folders and an SSH server of its own.

One of them, the laptop, holds the switch that the others hang on, and the key that opens them. Nothing of it is visible
outside, and all of it ends with the process that made it: a namespace goes when its first process goes.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.processes.scripts import HANGS_AFTER

ROOT = Path(__file__).resolve().parents[3]
NETWORK = "10.213.0"
SHARED = "/mnt"
"""A folder that is the same on all machines."""
TOOLS = {"sshd": "openssh-server", "ssh": "openssh-client", "ip": "iproute2", "rsync": "rsync", "setpriv": "util-linux"}
SSHD = """
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
MaxSessions 100
Subsystem sftp internal-sftp
"""


def missing() -> str | None:
    """Why there can be no such machines here; None if there can."""
    if os.geteuid() != 0:
        return "namespaces with addresses of their own need root"
    tools = [package for tool, package in TOOLS.items() if shutil.which(tool, path=_path()) is None]
    if tools:
        return f"apt-get install {' '.join(sorted(tools))}"
    probe = ["unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--mount-proc"]
    made = subprocess.run([*probe, "ip", "link", "add", "br0", "type", "bridge"], capture_output=True, text=True)
    return f"no namespaces here: {made.stderr.strip()}" if made.returncode else None


def wait_for(condition: Callable[[], Any], what: str, *, seconds: float) -> Any:
    """The condition's first true value.

    Raises:
        TimeoutError: after the seconds.
    """
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.5)
    return value


class Host:
    """One machine. Its home and /tmp lie in `folder`, whoever looks from outside."""

    def __init__(self, name: str, number: int, folder: Path) -> None:
        self.name, self.address, self.folder = name, f"{NETWORK}.{number}", folder / name
        self.pid = 0
        first = self._first_process(folder)
        spaces = ["unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with (folder / f"{name}.log").open("w") as log:
            self._process = subprocess.Popen(
                # Ends when the test's process ends, however it does.
                ["setpriv", "--pdeathsig", "KILL", *spaces, "bash", "-ec", first],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait_for(self._listens, f"sshd of {name}", seconds=30)
        except BaseException:
            self.close()
            raise

    def _first_process(self, folder: Path) -> str:
        """Commands that give the namespace folders of its own, and become its SSH server."""
        home = Path.home()
        own = {home: self.folder / "home", Path("/tmp"): self.folder / "tmp"}
        commands = [f"hostname {self.name}"]
        for place in own.values():
            place.mkdir(parents=True)
        for path in {Path(sys.prefix), Path(sys.base_prefix), ROOT}:  # stay where they are
            for hidden, place in own.items():
                if path.is_relative_to(hidden):
                    kept = place / path.relative_to(hidden)
                    kept.mkdir(parents=True)
                    commands.append(f"mount --bind {path} {kept}")
        ssh = folder / "ssh"
        commands += [
            f"mount --bind {folder / 'shared'} {SHARED}",
            "mount -t tmpfs tmpfs /dev/shm",
            "mount -t tmpfs tmpfs /run",
            "mkdir -p /run/sshd /run/ssh",
            f"mount --bind {ssh} /run/ssh",
            f"mount --rbind {own[home]} {home}",
            f"mount --rbind {own[Path('/tmp')]} /tmp",
            "ip link set lo up",
            f"exec {shutil.which('sshd', path=_path())} -D -e -f /run/ssh/sshd_config",
        ]
        return "; ".join(commands)

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.name} did not start, see {self.folder}.log")
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        if not children:
            return False
        self.pid = int(children[0])
        lines = Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines()
        return any(line.split()[1] == "00000000:0016" for line in lines[1:])

    def start(self, *command: object, cwd: Path | str = "/", **environment: str) -> subprocess.Popen[str]:
        """Start a command on this machine, with nothing of the test's own environment variables."""
        inside = ["nsenter", "--target", str(self.pid), "--net", "--mount", "--uts", "--ipc", "--pid", f"--wd={cwd}"]
        variables = {"HOME": str(Path.home()), "PATH": f"{sys.prefix}/bin:{_path()}", "LANG": "C.UTF-8", **environment}
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([*inside, *map(str, command)], env=variables, text=True, **pipes)

    def run(
        self,
        *command: object,
        timeout: float = HANGS_AFTER,
        check: bool = True,
        cwd: Path | str = "/",
        **environment: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on this machine, see `start`.

        Raises:
            RuntimeError: with all that it said, if it fails and that is to be checked.
        """
        with self.start(*command, cwd=cwd, **environment) as process:
            try:
                output, errors = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
        if check and process.returncode != 0:
            raise RuntimeError(f"{self.name}: {shlex.join(map(str, command))}\n{output}\n{errors}")
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def processes(self) -> list[str]:
        """Command lines of all that runs here, beside the SSH server and what asks."""
        lines = self.run("ps", "-eo", "args", "--no-headers").stdout.splitlines()
        return [line for line in lines if "sshd" not in line and not line.startswith("ps -eo")]

    def close(self) -> None:
        """End the machine and all that runs on it."""
        if self._process.poll() is None:
            # The first process, whose parent then takes notice of its end.
            os.kill(self.pid or self._process.pid, signal.SIGKILL)
        self._process.wait()


class Hosts(AbstractContextManager["Hosts"]):
    """A laptop and the machines that it reaches by SSH."""

    def __init__(self, folder: Path, names: tuple[str, ...] = ("head", "one", "two")) -> None:
        """Start them; `folder` takes all that they write and must be new."""
        ssh = folder / "ssh"
        ssh.mkdir(parents=True)
        (folder / "shared").mkdir()
        for key in ("key", "host_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(ssh / key)], check=True)
        (ssh / "sshd_config").write_text(SSHD.format(folder="/run/ssh"))
        self.folder, self.shared = folder, folder / "shared"
        self.all: list[Host] = []
        try:
            self.laptop = self._start("laptop")
            self._ip(self.laptop, "link", "add", "switch", "type", "bridge")
            self._ip(self.laptop, "addr", "add", f"{self.laptop.address}/24", "dev", "switch")
            self._ip(self.laptop, "link", "set", "switch", "up")
            self.machines = {name: self._start(name) for name in names}
            for name, host in self.machines.items():
                peer = ("type", "veth", "peer", "name", "eth0", "netns", str(host.pid))
                self._ip(self.laptop, "link", "add", name, *peer)
                self._ip(self.laptop, "link", "set", name, "master", "switch", "up")
                self._ip(host, "addr", "add", f"{host.address}/24", "dev", "eth0")
                self._ip(host, "link", "set", "eth0", "up")
                # Leads nowhere; a machine has one, and Ray finds its own address by it.
                self._ip(host, "route", "add", "default", "via", self.laptop.address)
        except BaseException:
            self.close()
            raise

    def _start(self, name: str) -> Host:
        self.all.append(Host(name, len(self.all) + 1, self.folder))
        return self.all[-1]

    def _ip(self, host: Host, *arguments: str) -> None:
        # The namespace's network only: whoever pulls a cable needs no folder of the machine.
        subprocess.run(["nsenter", "--target", str(host.pid), "--net", "ip", *arguments], check=True)

    def cut(self, name: str) -> None:
        """Pull a machine's cable."""
        self._ip(self.laptop, "link", "set", name, "down")

    def mend(self, name: str) -> None:
        """Put it back."""
        self._ip(self.laptop, "link", "set", name, "up")

    def ssh(self, name: str, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a shell command on a machine, over SSH from the laptop."""
        options = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")
        target = f"root@{self.machines[name].address}"
        return self.laptop.run("ssh", "-i", "/run/ssh/key", *options, target, command, check=check)

    def close(self) -> None:
        for host in self.all:
            host.close()

    def __exit__(self, *_: object) -> None:
        self.close()


def _path() -> str:
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
