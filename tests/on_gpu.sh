#!/usr/bin/env bash
# All that wants a CUDA device, in less than ten minutes: what the device computes against the CPU, the
# tests that take a list of devices, a whole run, bits that repeat, and times beside PyTorch where it is
# there.
#
#   tests/on_gpu.sh [--carried DIR] [--device cuda:N] [--out DIR]
#
# Without --carried it builds here (`cargo xtask ... --cuda`, `cargo test`). --carried DIR takes programs
# that were packed elsewhere by `cargo xtask check --cuda --carry DIR`; they need libcublas, libcurand,
# libnvrtc and libcudart of CUDA 13, which are looked for in DIR/lib, in the places of a CUDA toolkit and
# in the Python packages of PyTorch. Results are left in --out (default: target/on-gpu).
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

carried="" device="cuda:0" out="target/on-gpu"
while [ $# -gt 0 ]; do
    case "$1" in
        --carried | --device | --out)
            [ $# -gt 1 ] || { echo "error: $1 needs a value" >&2; exit 2; }
            printf -v "${1#--}" '%s' "$2"
            shift 2
            ;;
        *) echo "error: $1: expected --carried DIR, --device cuda:N or --out DIR" >&2; exit 2 ;;
    esac
done
mkdir -p "$out" || exit 1
out="$(cd "$out" && pwd)"
failed=0

# step NAME SECONDS COMMAND...: runs it, keeps what it says, counts a failure.
step() {
    local name="$1" limit="$2" began=$SECONDS code=0
    shift 2
    echo "== $name"
    timeout --kill-after=10 "$limit" "$@" >"$out/$name.txt" 2>&1 || code=$?
    tail -n "${SHOWN:-12}" "$out/$name.txt"
    echo "== $name: $([ "$code" = 0 ] && echo ok || echo "FAILED ($code)"), $((SECONDS - began)) s"
    [ "$code" = 0 ] || failed=$((failed + 1))
}

# Folders that may hold the libraries of CUDA 13.
library_folders() {
    local folder
    for folder in "$carried/lib" /usr/local/cuda-13*/lib64 /usr/local/cuda/lib64 \
        /usr/local/cuda*/targets/*/lib "${CUDA_HOME:-/nowhere}/lib64"; do
        [ -d "$folder" ] && echo "$folder"
    done
    python3 -c 'import site, glob, sys
for root in site.getsitepackages() + [site.getusersitepackages()] + sys.path:
    for folder in sorted(glob.glob(root + "/nvidia/*/lib")):
        print(folder)' 2>/dev/null
}

if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee "$out/gpu.txt"
fi

if [ -n "$carried" ]; then
    carried="$(cd "$carried" && pwd)" || exit 2
    programs="$(mktemp -d)"
    trap 'rm -rf "$programs"' EXIT
    for packed in "$carried"/*.gz; do
        program="$programs/$(basename "$packed" .gz)"
        gunzip --stdout "$packed" >"$program" && chmod +x "$program"
    done
    folders="$(library_folders | sort -u | paste -sd:)"
    export LD_LIBRARY_PATH="$folders${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    missing="$(ldd "$programs/experiment" | grep 'not found' | awk '{print $1}' | sort -u | paste -sd' ')"
    if [ -n "$missing" ]; then
        echo "error: not found: $missing (looked in $folders)" >&2
        exit 1
    fi
    experiment=("$programs/experiment")
    for tests in "$programs"/tests-*; do
        [ -e "$tests" ] || continue
        step "$(basename "$tests")" 200 "$tests" on_every_device --test-threads 1
    done
else
    SHOWN=3 step build 1500 cargo xtask check --cuda
    experiment=(cargo xtask --cuda)
    step tests-score-nets 600 env CARGO_TARGET_DIR=target/cuda cargo test --release --features cuda \
        --package score-nets --lib --test it --test networks -- \
        on_every_device agree_with_central_differences --test-threads 1
fi

# `cargo xtask --cuda` adds the device itself; naming it does no harm.
SHOWN=160 step device-check 150 "${experiment[@]}" device-check --device "$device"
SHOWN=0 step device-check-json 150 "${experiment[@]}" --json device-check --device "$device"
SHOWN=2 step times 150 "${experiment[@]}" device-check --device "$device" --dtype f32 --times

# A whole run: training, sampling, measuring, report.
rm -rf "$out/run"
step run 200 "${experiment[@]}" run ode-sde-gap --preset smoke --device "$device" --out "$out/run"

# The same command draws the same bytes, and blocks change nothing.
model="$(ls "$out"/run/checkpoints/*.safetensors 2>/dev/null | grep -v training | head -n 1)"
sample() {
    "${experiment[@]}" sample --model "$model" --method euler-maruyama --steps 50 --n 20000 --seed 1 \
        --device "$device" --out "$@"
}
repeats() {
    sample "$out/first.npy" && sample "$out/second.npy" &&
        sample "$out/blocks.npy" --block-rows 4096 &&
        cmp "$out/first.npy" "$out/second.npy" && echo "the same command draws the same bytes" &&
        if cmp "$out/first.npy" "$out/blocks.npy"; then
            echo "blocks of 4096 rows draw the same bytes"
        else
            # Which product the library takes may go by the number of rows.
            echo "blocks of 4096 rows draw other bytes: compare the files"
        fi
}
if [ -n "$model" ]; then
    echo "== repeats"
    repeats >"$out/repeats.txt" 2>&1 || failed=$((failed + 1))
    tail -n 4 "$out/repeats.txt"
else
    echo "== repeats: FAILED, the run left no network"
    failed=$((failed + 1))
fi

# The same work in PyTorch, eager: what `device-check --times` times.
if python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    step torch 150 python3 - "$device" <<'PYTHON'
import sys
import time

import torch

device = torch.device(sys.argv[1])
torch.backends.cuda.matmul.allow_tf32 = False
widths, beta, rows, particles, steps = [3, 80, 80, 80, 1], 100.0, 20_000, 50_000, 200
layers = [torch.nn.Linear(a, b).to(device) for a, b in zip(widths, widths[1:])]
weights = [p for layer in layers for p in layer.parameters()]


def potential(t, x):
    h = torch.cat([t, x], 1)
    for layer in layers[:-1]:
        h = torch.nn.functional.softplus(layer(h), beta=beta)
    return layers[-1](h)


def score(t, x, graph):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(potential(t, x).sum(), x, create_graph=graph)[0]


t, x, target = (torch.randn(rows, n, device=device) for n in (1, 2, 2))


def train_step():
    loss = (score(t, x, True) - target).square().mean()
    torch.autograd.grad(loss, weights, allow_unused=True)
    torch.cuda.synchronize(device)


def sampling():
    x = torch.randn(particles, 2, device=device)
    h = 10.0 / steps
    for k in range(steps):
        time_column = torch.full((particles, 1), 10.0 - k * h, device=device)
        drift = -x - 2.0 * score(time_column, x, False)
        x = x - h * drift + (2.0 * h) ** 0.5 * torch.randn_like(x)
    return x.cpu()


def fastest(work):
    best = float("inf")
    for turn in range(4):
        began = time.perf_counter()
        work()
        if turn:
            best = min(best, 1e3 * (time.perf_counter() - began))
    return best


print(f"torch {torch.__version__} on {torch.cuda.get_device_name(device)}, eager:")
print(f"train step of {rows} rows {fastest(train_step):.2f} ms, "
      f"{particles} particles through {steps} steps {fastest(sampling):.0f} ms")
PYTHON
else
    echo "== torch: no PyTorch with CUDA here, nothing to compare times with"
fi

echo "== $SECONDS s, results in $out, $failed failed"
[ "$failed" = 0 ]
