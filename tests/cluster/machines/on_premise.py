"""`cluster/on_premise.yaml` on the machines of a test, driven as its user drives it: `ray up`, SSH, `ray down`."""

from __future__ import annotations

import shlex
import sys

import yaml

from tests.cluster.machines.hosts import ROOT, SHARED, Hosts

YAML = ROOT / "cluster" / "on_premise.yaml"
WORKER = "local.cluster.node"
CPUS = 2
"""What each machine is told to have: in truth they share those of this one."""
SERVANTS = ("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent")


class OnPremise:
    """A cluster of the file, with the addresses of these machines in it.

    Args:
        hosts: the machines; the first is the head.
        workers: that are there without being asked for.
        idle_minutes: behind which a worker leaves.
    """

    def __init__(self, hosts: Hosts, *, workers: int, idle_minutes: float) -> None:
        self.hosts = hosts
        self.head, *others = hosts.machines.values()
        self.config = config = yaml.safe_load(YAML.read_text())
        config["provider"] |= {"head_ip": self.head.address, "worker_ips": [host.address for host in others]}
        config["auth"] = {"ssh_user": "root", "ssh_private_key": "/run/ssh/key"}
        config["available_node_types"][WORKER] |= {"min_workers": workers, "resources": {"CPU": CPUS}}
        config["idle_timeout_minutes"] = idle_minutes
        # In the place of an installation of minutes: the test's own Python with its Ray and torch, and what was synced
        # before the project that is installed in it.
        install = [f"ln -sfn {sys.prefix} ~/mars-search/.venv", "echo 'export PYTHONPATH=~/mars-search' >> ~/.bashrc"]
        for key in ("head_setup_commands", "worker_setup_commands"):
            commands = [command for command in config[key] if not command.startswith("make ")]
            assert len(commands) == len(config[key]) - 1
            config[key] = [*install, *commands]
        for key in ("head_start_ray_commands", "worker_start_ray_commands"):
            config[key] = [command.replace("ray start", f"ray start --num-cpus={CPUS}") for command in config[key]]
        (hosts.shared / "cluster.yaml").write_text(yaml.safe_dump(config))

    def up(self) -> None:
        if self.hosts.laptop.run("ray", "get-auth-token", check=False).returncode != 0:
            self.hosts.laptop.run("ray", "get-auth-token", "--generate")
        self._ray("up")

    def down(self) -> None:
        self._ray("down")

    def ssh(self, command: str) -> str:
        """The output of a command on the head."""
        return self.hosts.ssh(self.head.name, f"source ~/.bashrc; {command}").stdout

    def alive(self) -> set[str]:
        """Addresses of the machines that Ray counts."""
        code = "import ray; ray.init('auto', logging_level='ERROR'); "
        code += "print(*[node['NodeManagerAddress'] for node in ray.nodes() if node['Alive']])"
        return set(self.ssh(f"python -c {shlex.quote(code)}").split())

    def left(self) -> dict[str, list[str]]:
        """What runs on each machine."""
        return {name: host.processes() for name, host in self.hosts.machines.items()}

    def works(self, name: str) -> bool:
        """Whether a task or a trial runs on that machine."""
        lines = self.hosts.machines[name].processes()
        return any(line.startswith("ray::") and not line.startswith(SERVANTS) for line in lines)

    def _ray(self, command: str) -> None:
        self.hosts.laptop.run("ray", command, "-y", f"{SHARED}/cluster.yaml", cwd=ROOT, timeout=250)
