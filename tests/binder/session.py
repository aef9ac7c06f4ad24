"""A session on Binder: a container started as BinderHub starts it, with its memory limited, and what it takes."""

import json
import secrets
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

CGROUPS = Path("/sys/fs/cgroup")
BASE_URL = "/user/somebody/"
START_TIMEOUT_S = 180.0
PROFILE = "Activating profile"
"""What repo2docker's login shell says first."""


@dataclass(frozen=True)
class Memory:
    """Memory of all processes of a container, MiB.

    Attributes:
        anonymous: What the processes have written: it cannot be given back.
        files: Pages of files, such as programs and libraries: given back when there is need.
        kills: Processes killed for want of memory.
        major_faults: Pages read from disk because they were not in memory.
    """

    anonymous: float
    files: float
    kills: int
    major_faults: int


class Session:
    """A running container.

    Attributes:
        name: Its name.
        address: JupyterLab's address, ending with a slash.
        token: What JupyterLab asks for.
        seconds: From the start to JupyterLab's first answer.
    """

    def __init__(self, name: str, token: str) -> None:
        self.name, self.token, self.seconds = name, token, 0.0
        port = self.docker("port", name, "8888").splitlines()[0].rpartition(":")[2]
        self.address = f"http://127.0.0.1:{port}{BASE_URL}"
        pid = self.docker("inspect", "--format", "{{.State.Pid}}", name)
        # Version 1 has a tree for each resource, version 2 one for all.
        lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
        paths = {controller: path.lstrip("/") for _, names, path in lines for controller in names.split(",")}
        self._old = "memory" in paths
        self._memory = CGROUPS / "memory" / paths["memory"] if self._old else CGROUPS / paths[""]
        self._cpu = CGROUPS / "cpuacct" / paths["cpuacct"] if self._old else self._memory

    def docker(self, *words: str) -> str:
        """Run a docker command; returns what it said."""
        done = subprocess.run(["docker", *words], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"docker {' '.join(words)}: {done.stderr[-3000:]}")
        return done.stdout.strip()

    def run(self, *command: str) -> str:
        """Run a command in the container, as its user, the way a terminal of JupyterLab does."""
        said = self.docker("exec", self.name, "bash", "-l", "-c", " ".join(command))
        return "\n".join(line for line in said.splitlines() if not line.startswith(PROFILE))

    def memory(self) -> Memory:
        """What the container takes now."""
        stat = dict(line.split() for line in (self._memory / "memory.stat").read_text().splitlines())
        prefix = "total_" if self._old else ""
        events = (self._memory / ("memory.oom_control" if self._old else "memory.events")).read_text()
        kills = dict(line.split() for line in events.splitlines())["oom_kill"]
        written = int(stat[f"{prefix}rss"]) if self._old else int(stat["anon"])
        shared = int(stat[f"{prefix}shmem"] if self._old else stat["shmem"])
        cached = int(stat[f"{prefix}cache" if self._old else "file"]) - shared
        faults = int(stat[f"{prefix}pgmajfault"])
        return Memory((written + shared) / 2**20, cached / 2**20, int(kills), faults)

    def cpu_s(self) -> float:
        """Seconds of processor time that the container has taken since its start."""
        if self._old:
            return int((self._cpu / "cpuacct.usage").read_text()) / 1e9
        return int((self._cpu / "cpu.stat").read_text().split()[1]) / 1e6

    def get(self, path: str, timeout_s: float = 10.0) -> Any:
        """Ask JupyterLab's REST interface."""
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(f"{self.address}{path}", params={"token": self.token}, timeout=timeout_s)
            answer.raise_for_status()
            return answer.json()

    def errors(self, path: str) -> list[str]:
        """What went wrong in a notebook that was run and saved: cells that failed, and cells that were not run."""
        cells = [cell for cell in self.get(f"api/contents/{path}")["content"]["cells"] if cell["cell_type"] == "code"]
        failed = [f"{out['ename']}: {out['evalue']}" for cell in cells for out in cell["outputs"] if "ename" in out]
        return failed + ["not run: " + cell["source"][:60] for cell in cells if cell["execution_count"] is None]

    def wait(self) -> None:
        """Wait until JupyterLab answers."""
        started = time.monotonic()
        while True:
            try:
                self.get("api/status")
            except requests.RequestException:
                state = json.loads(self.docker("inspect", "--format", "{{json .State}}", self.name))
                if not state["Running"] or time.monotonic() - started > START_TIMEOUT_S:
                    raise RuntimeError(f"JupyterLab does not open:\n{self.docker('logs', self.name)}") from None
                time.sleep(0.2)
            else:
                self.seconds = time.monotonic() - started
                return

    def notebook_url(self, path: str) -> str:
        """Where a browser opens a notebook: what mybinder.org makes of ``urlpath=lab/tree/…``."""
        return f"{self.address}lab/tree/{path}?token={self.token}"


@contextmanager
def session(image: str, options: Sequence[str] = ("--memory=2g", "--memory-swap=2g", "--cpus=1")) -> Generator[Session]:
    """Start an image as BinderHub does, and wait for JupyterLab.

    Args:
        image: Its name.
        options: Of `docker run`; by default mybinder.org's limits, without swap.
    """
    token, name = secrets.token_hex(8), f"binder-{secrets.token_hex(4)}"
    # Source: binderhub/binderspawner_mixin.py, which names each option for both of Jupyter's servers.
    arguments = [
        f"--{app}.{option}"
        for app in ("NotebookApp", "ServerApp")
        for option in (f"base_url={BASE_URL}", f"token={token}", "trust_xheaders=True")
    ]
    command = ["docker", "run", "--detach", "--name", name, "--publish", "127.0.0.1::8888", *options, image]
    command += ["jupyter-lab", "--ip=0.0.0.0", "--port=8888", *arguments, "--LabApp.expose_app_in_browser=True"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    try:
        found = Session(name, token)
        found.wait()
        yield found
    finally:
        remove = ["docker", "rm", "--force", "--volumes", name]
        subprocess.run(remove, stdout=subprocess.DEVNULL)
