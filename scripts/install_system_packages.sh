#!/bin/sh
# Install what pip cannot bring: an OpenGL that draws without a display, a compiler for one small library of the tests, and, where asked for,
# Debian's Chromium, in which the tests look at a page. (Ubuntu's is a snap, which containers cannot run: there Playwright brings one.)
# Looks for each thing itself, not for a package's name, so it does nothing where all is there already.
# usage: scripts/install_system_packages.sh [python [browser]]
set -eu
python="${1:-python3}"
missing=""

need() { # need PACKAGE COMMAND...: note PACKAGE unless COMMAND succeeds
    package="$1"
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
library() { /sbin/ldconfig -p | grep -q "$1"; }
anything() { # a pattern that matches at least one file
    for file in $1; do
        if [ -e "$file" ]; then return 0; fi
    done
    return 1
}
links() { echo 'int f;' | cc -shared -fPIC -x c - -o /dev/null; }
shared_python() { # the interpreter as a library, for the tool that starts launch files
    "$python" -c 'import sysconfig, os, sys; v = sysconfig.get_config_var; sys.exit(not os.path.exists(os.path.join(v("LIBDIR"), v("INSTSONAME"))))'
}

need python3-venv "$python" -c 'import venv, ensurepip'
need libegl1 library libEGL.so.1                                   # MuJoCo draws through EGL
need libegl-mesa0 anything "/usr/share/glvnd/egl_vendor.d/*.json"  # a driver behind EGL: Mesa's, or the GPU's own
need libgl1-mesa-dri anything "/usr/lib/*/dri/*swrast_dri.so /usr/lib/*/libgallium*.so"  # drawing in software
need libopengl0 library libOpenGL.so.0
need libgl1 library libGL.so.1                                     # OpenCV
need libglib2.0-0 library libgthread-2.0.so.0                      # OpenCV
need libz3-4 library libz3.so.4                                    # play-launch, which the tests start launch files with
need gcc command -v cc                                             # a stub library for play-launch
need libc6-dev links
version="$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
need "libpython$version" shared_python
if [ "${2:-}" = browser ] && grep -qx 'ID=debian' /etc/os-release; then
    need chromium test -x /usr/bin/chromium
fi

if [ -z "$missing" ]; then
    echo "System packages: all there."
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "System packages: please install the equivalent of$missing, then run this again." >&2
    exit 1
fi
root=""
if [ "$(id -u)" -ne 0 ]; then
    root="sudo"
    echo "System packages: sudo may ask for your password."
fi
echo "System packages: installing$missing"
$root apt-get update -qq
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
