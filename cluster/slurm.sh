#!/usr/bin/env bash
# Runs a search on Slurm, on all GPUs of a job's nodes. From the project's root, on a file system that the nodes share:
#     sbatch --nodes 4 cluster/slurm.sh --budget 200 --data mars_for_students.npz
# All arguments after slurm.sh are passed to search/run.py. Ten minutes before the time limit, the running trials finish
# their epoch and the job is queued again, which continues the study. `scancel` ends the job; to continue the study
# later, run the same sbatch command.
# shellcheck disable=SC1091,SC2016,SC2329
#SBATCH --job-name=mars-search
#SBATCH --nodes=1
#SBATCH --exclusive
#SBATCH --gpus-per-node=1
#SBATCH --time=08:00:00
#SBATCH --signal=B:USR1@600
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=mars-search-%j.log
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?start it with sbatch}"
source "${VENV:-.venv}/bin/activate"

# Ray's processes reject requests without this token; srun passes it to every node.
RAY_AUTH_TOKEN=$(umask 077 && ray get-auth-token --generate 2>/dev/null)
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0

rays=() asked=""
finish() {
    kill "${rays[@]}" 2>/dev/null || true
    wait
}
stop() { # the trials finish their epoch, then the search ends
    asked=$1
    kill -TERM "$search"
}
trap finish EXIT
trap 'exit 143' TERM

# This script runs on the first node, which is the head and also runs trials.
head=$(python -c 'import ray; print(ray.util.get_node_ip_address())')
export RAY_ADDRESS=$head:${RAY_PORT:-6379}
(unset RAY_ADDRESS && exec ray start --head --node-ip-address="$head" --port="${RAY_PORT:-6379}" \
    --dashboard-host=127.0.0.1 --num-cpus="$SLURM_CPUS_ON_NODE" --block) &
rays+=($!)
until ray status >/dev/null 2>&1; do
    kill -0 "${rays[0]}" || exit 1 # ray start has printed the reason
    sleep 1
done
if ((SLURM_JOB_NUM_NODES > 1)); then
    srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks-per-node=1 --exclude="$SLURMD_NODENAME" --cpu-bind=none \
        bash -c 'exec ray start --address="$RAY_ADDRESS" --num-cpus="$SLURM_CPUS_ON_NODE" --block' &
    rays+=($!)
fi
python - "$SLURM_JOB_NUM_NODES" <<'EOF'
import sys, time

import ray

wanted, deadline = int(sys.argv[1]), time.monotonic() + 600
ray.init(logging_level="ERROR")
while (there := sum(node["Alive"] for node in ray.nodes())) < wanted:
    if time.monotonic() > deadline:
        sys.exit(f"error: {there} of {wanted} nodes have joined after 10 minutes")
    time.sleep(1)
EOF

python search/run.py "$@" &
search=$!
trap 'stop requeue' USR1
trap 'stop cancel' TERM
code=0
wait "$search" || code=$?
if [[ $asked ]]; then # the signal ended the wait, not the search
    code=0
    wait "$search" || code=$?
fi
if [[ $asked == requeue && $code != 0 ]]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
