# shellcheck shell=sh
# Makes the environment in which vidsal runs from this checkout. Sourced by scripts/demo,
# scripts/test and .ci/run, so that no step of it is written twice; it needs Python 3 with venv,
# a package index and nothing else.
#
#   PYTHON=python3.12     the Python to make the environment with
#   VIDSAL_VENV=FOLDER    where the environment is, instead of .venv in the project
#
# It goes to the project's folder, and `set_up [EXTRA]` sets $venv (the environment's folder) and
# $python (its interpreter).

set -eu

# Newest first, since that is how they are tried; the same as requires-python in pyproject.toml.
pythons='3.13 3.12 3.11'

say() {
    printf 'vidsal: %s\n' "$*"
}

die() {
    printf 'vidsal: %s\n' "$*" >&2
    exit 1
}

venv=${VIDSAL_VENV:-.venv}
case $venv in
/*) ;;
.venv) ;; # the default belongs to the project, wherever it is called from
*) venv=$PWD/$venv ;;
esac
# $0 is the script that sources this file, and that lies one folder below the project's.
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
case $venv in
/*) ;;
*) venv=$root/$venv ;;
esac

# What the machine has must not stand in for what is installed here, and nothing may be installed
# elsewhere. How the package index is reached (index, certificate, proxy) stays the machine's own.
unset PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX PIP_ROOT PIP_NO_DEPS
export PYTHONNOUSERSITE=1 PIP_USER=0 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# Prints a Python's version as 3.12, or fails if it cannot be run.
version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

is_supported() {
    case " $pythons " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

# Sets $base to a Python that can make the environment.
choose_python() {
    needed="vidsal needs Python ${pythons##* } to ${pythons%% *}"
    if [ -n "${PYTHON:-}" ]; then
        problem="PYTHON=$PYTHON cannot be run; $needed"
        set -- "$PYTHON"
    else
        problem="no Python was found; $needed"
        set --
        for version in $pythons; do
            set -- "$@" "python$version"
        done
        set -- "$@" python3
    fi
    for base; do
        version=$(version_of "$base") || continue
        if ! is_supported "$version"; then
            problem="$base is Python $version; $needed (PYTHON=... names another)"
        # Debian and Ubuntu leave ensurepip, and with it a working venv, to a package of its own.
        elif ! "$base" -c 'import ensurepip, venv' 2>/dev/null; then
            problem="$base cannot make virtual environments; on Debian or Ubuntu: apt install python3-venv"
            break
        else
            return 0
        fi
    done
    die "$problem"
}

# Makes $venv if there is none, or if what is there does not run (any longer).
make_environment() {
    python=$venv/bin/python
    if "$python" -c 'import pip' 2>/dev/null; then
        version=$(version_of "$python")
        is_supported "$version" || die "$venv holds Python $version: remove that folder and run again"
        if [ -n "${PYTHON:-}" ] && [ "$(version_of "$PYTHON")" != "$version" ]; then
            die "$venv holds Python $version, not $PYTHON: remove that folder and run again"
        fi
        return 0
    fi
    if [ -e "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ]; then
        # --clear empties the folder.
        die "$venv is there and is not a virtual environment: remove it or set VIDSAL_VENV"
    fi
    choose_python
    say "making $venv with Python $version"
    "$base" -m venv --clear "$venv" || die "$venv could not be made: see above"
}

pip_install() {
    # A person sees how far the download is; a log does not need the hundred lines.
    if [ -t 1 ]; then
        "$python" -m pip install "$@"
    else
        "$python" -m pip install --quiet "$@"
    fi
}

# On a server without X libraries OpenCV's usual build cannot be loaded, its headless one can.
make_opencv_load() {
    why=$("$python" -c 'import cv2' 2>&1) && return 0
    why=$(printf '%s\n' "$why" | tail -n 1)
    version=$("$python" -c 'import importlib.metadata as m; print(m.version("opencv-python"))' \
        2>/dev/null) || die "OpenCV cannot be loaded: $why"
    say "OpenCV cannot be loaded ($why): taking opencv-python-headless $version, the same without windows"
    # The two share their files: taking one away breaks the other, so both go first.
    "$python" -m pip uninstall --quiet --yes opencv-python opencv-python-headless 2>/dev/null ||
        die "opencv-python could not be removed from $venv"
    pip_install --no-deps "opencv-python-headless==$version" ||
        die "opencv-python-headless could not be installed: see above"
    why=$("$python" -c 'import cv2' 2>&1) ||
        die "OpenCV cannot be loaded, headless either: $(printf '%s\n' "$why" | tail -n 1)"
}

# Installs vidsal, with the named extra, unless that is done and pyproject.toml is as it was then.
# Editable: an edited source file counts at once, and a second run has nothing to install.
set_up() {
    make_environment
    stamp=$venv/vidsal-set-up${1:+-$1}
    # The folder, since an editable install points to it: a checkout may have been moved.
    state="$root $(cksum <pyproject.toml)"
    if [ "$(cat "$stamp" 2>/dev/null)" != "$state" ]; then
        say "installing vidsal${1:+ for $1} into $venv: the first time takes some minutes"
        pip_install --editable ".${1:+[$1]}" || die "vidsal could not be installed: see above"
        printf '%s\n' "$state" >"$stamp"
    fi
    make_opencv_load
}
