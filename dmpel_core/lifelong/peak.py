"""How much memory this process used at most, on Linux."""

from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def forget_peak() -> None:
    """Let the peak start anew at what is used now, where the system allows it."""
    try:
        CLEAR.write_text("5")
    except OSError:  # then the peak is that of the whole process
        return


def peak_bytes() -> int:
    """Return the largest resident size since `forget_peak`; 0 where the system does not say."""
    if not STATUS.exists():
        return 0
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
    return 1024 * int(lines.get("VmHWM", "0 kB").split()[0])
