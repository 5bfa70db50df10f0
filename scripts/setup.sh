# shellcheck shell=sh
# Creates the virtual environment in which vidsal runs from this checkout. scripts/demo, scripts/test
# and .ci/run source this file. It needs Python 3 with venv, and a package index.
#
#   PYTHON=python3.12     the Python that creates the environment
#   VIDSAL_VENV=FOLDER    the folder of the environment (default: .venv in the project)
#
# The file changes to the project's folder. It sets $venv, the folder of the environment.
# `set_up [EXTRA]` sets $python, the environment's interpreter.

set -eu

# The same versions as requires-python in pyproject.toml, in the order of trial: newest first.
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
.venv) ;; # the default is relative to the project, not to the current folder
*) venv=$PWD/$venv ;;
esac
# $0 is the script that sources this file. It is in a subfolder of the project.
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
case $venv in
/*) ;;
*) venv=$root/$venv ;;
esac

# Packages of the machine must not replace those of the environment, and pip must install into the
# environment only. The machine's settings of the package index (index, certificate, proxy) apply.
unset PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX PIP_ROOT PIP_NO_DEPS
export PYTHONNOUSERSITE=1 PIP_USER=0 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# Prints the version of a Python, for example 3.12. Fails if it does not run.
version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

is_supported() {
    case " $pythons " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

# Sets $base to a Python that can create the environment.
choose_python() {
    needed="vidsal needs Python ${pythons##* } to ${pythons%% *}"
    if [ -n "${PYTHON:-}" ]; then
        problem="PYTHON=$PYTHON does not run; $needed; set PYTHON to another one"
        set -- "$PYTHON"
    else
        problem="no Python was found; $needed; install it or set PYTHON"
        set --
        for version in $pythons; do
            set -- "$@" "python$version"
        done
        set -- "$@" python3
    fi
    for base; do
        version=$(version_of "$base") || continue
        if ! is_supported "$version"; then
            problem="$base is Python $version; $needed; set PYTHON to another one"
        # On Debian and Ubuntu, ensurepip is a separate package, and venv needs it.
        elif ! "$base" -c 'import ensurepip, venv' 2>/dev/null; then
            problem="$base cannot create virtual environments; on Debian or Ubuntu: apt install python3-venv"
            break
        else
            return 0
        fi
    done
    die "$problem"
}

# Creates the environment if it does not exist or does not run.
create_environment() {
    python=$venv/bin/python
    if "$python" -c 'import pip' 2>/dev/null; then
        version=$(version_of "$python")
        is_supported "$version" || die "$venv has Python $version, which vidsal does not support: remove the folder and run again"
        if [ -n "${PYTHON:-}" ] && [ "$(version_of "$PYTHON")" != "$version" ]; then
            die "$venv has Python $version, but PYTHON=$PYTHON: remove the folder and run again"
        fi
        return 0
    fi
    if [ -e "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ]; then
        # --clear empties the folder.
        die "$venv exists and is not a virtual environment: remove it or set VIDSAL_VENV"
    fi
    choose_python
    say "creating $venv with Python $version"
    "$base" -m venv --clear "$venv" || die "$venv could not be created: see the messages above"
}

pip_install() {
    # pip's progress is for a terminal. It would fill a log with about a hundred lines.
    if [ -t 1 ]; then
        "$python" -m pip install "$@"
    else
        "$python" -m pip install --quiet "$@"
    fi
}

# On a server without X libraries, the usual build of OpenCV does not load. The headless build does.
ensure_opencv_loads() {
    reason=$("$python" -c 'import cv2' 2>&1) && return 0
    reason=$(printf '%s\n' "$reason" | tail -n 1)
    version=$("$python" -c 'import importlib.metadata as m; print(m.version("opencv-python"))' \
        2>/dev/null) || die "OpenCV does not load: $reason"
    say "OpenCV does not load ($reason): installing opencv-python-headless $version, which has no windows"
    # The packages share files. Removing one breaks the other, so remove both first.
    "$python" -m pip uninstall --quiet --yes opencv-python opencv-python-headless 2>/dev/null ||
        die "opencv-python could not be removed from $venv"
    pip_install --no-deps "opencv-python-headless==$version" ||
        die "opencv-python-headless could not be installed: see the messages above"
    reason=$("$python" -c 'import cv2' 2>&1) ||
        die "OpenCV does not load, and neither does its headless build: $(printf '%s\n' "$reason" | tail -n 1)"
}

# Installs vidsal with an extra. Skips this if it is installed and pyproject.toml has not changed.
# The install is editable: changes of the source code apply at once.
set_up() {
    create_environment
    stamp=$venv/vidsal-set-up${1:+-$1}
    # An editable install points to the folder of the checkout, which may have moved.
    state="$root $(cksum <pyproject.toml)"
    if [ "$(cat "$stamp" 2>/dev/null)" != "$state" ]; then
        say "installing vidsal${1:+ with the extra $1} into $venv: the first time takes some minutes"
        pip_install --editable ".${1:+[$1]}" || die "vidsal could not be installed: see the messages above"
        printf '%s\n' "$state" >"$stamp"
    fi
    ensure_opencv_loads
}
