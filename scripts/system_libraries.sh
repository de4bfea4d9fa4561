#!/bin/sh
# The OpenGL libraries that MuJoCo draws with and OpenCV links to.  Installs them with apt where that is allowed,
# else prints the one line to run.  Does nothing where they are present.
set -eu
PATH=$PATH:/usr/sbin:/sbin # where Debian keeps ldconfig, out of an ordinary user's sight

has() { ldconfig -p 2>/dev/null | grep -q "$1"; }

packages=""
has libGL.so.1 || packages="$packages libgl1"
has libEGL.so.1 || packages="$packages libegl1"
has libGLESv2.so.2 || packages="$packages libgles2"
has libgthread-2.0.so.0 || packages="$packages libglib2.0-0"
# Mesa's software driver, for machines without a GPU.
if ! [ -e /dev/nvidiactl ] && ! find /usr/lib /usr/lib64 -name '*swrast_dri.so' -o -name 'libgallium*.so' 2>/dev/null | grep -q .; then
    packages="$packages libgl1-mesa-dri"
fi
[ -z "$packages" ] && exit 0

install="apt-get install -y --no-install-recommends$packages"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "error: system libraries are missing:$packages (names of Debian's packages); install them with this system's package manager" >&2
    exit 6
elif [ "$(id -u)" = 0 ]; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive $install
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    sudo apt-get update -qq && sudo DEBIAN_FRONTEND=noninteractive $install
else
    echo "error: system libraries are missing" >&2
    echo "  fix: sudo apt-get update && sudo $install" >&2
    exit 6
fi
