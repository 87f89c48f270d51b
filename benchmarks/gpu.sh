#!/usr/bin/env bash
# Trains on a GPU with mixed precision, compares the entities with those of the CPU, and
# measures the speed. The numbers of steps and rounds are for a run of ten minutes:
#
#     benchmarks/gpu.sh [FOLDER]
#
# FOLDER (training/gpu by default) takes all intermediate files. Finished steps are
# skipped if the script is started again. It runs in the current environment, which needs
# the extra train, torch for CUDA and cupy. The results are benchmarks/results/gpu.json
# and benchmarks/results/inference_gpu.json. Without a GPU, the script does nothing.
#
# Variables: SPACY_WNUT_DATA, a folder with WNUT 17 (by default from the hub); MINILM and
# MPNET, the encoders, each a folder or a model on the hub.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! gpu=$(python -c '
import sys, torch
torch.cuda.is_available() or sys.exit(1)
print(torch.cuda.get_device_name(0))' 2> /dev/null); then
  echo "torch finds no GPU with CUDA: nothing to measure"
  exit 0
fi

folder=${1:-training/gpu}
minilm=${MINILM:-sentence-transformers/all-MiniLM-L6-v2}
mpnet=${MPNET:-sentence-transformers/all-mpnet-base-v2}
steps=200

heading() { echo "== $1 ($SECONDS s)"; }

encoder() { # NAME SOURCE
  if [ ! -e "$folder/$1/config.json" ]; then
    python -m spacy_wnut encoder "$folder/$1" "$2"
  fi
}

train() { # NAME CONFIG ENCODER
  if [ -e "$folder/$1" ]; then
    echo "$folder/$1 is there already"
    return
  fi
  # Under its name only when it is finished.
  rm -rf "$folder/unfinished"
  python -m spacy train "configs/$2.cfg" --output "$folder/unfinished" --gpu-id 0 \
    --paths.train "$folder/corpus/gold/train.spacy" \
    --paths.dev "$folder/corpus/gold/dev.spacy" \
    --paths.encoder "$folder/$3" \
    --training.max_steps $steps --training.eval_frequency $((steps / 2))
  mv "$folder/unfinished" "$folder/$1"
}

echo "GPU: $gpu"
# Fails if thinc can't use the GPU, because cupy is missing for example.
python -c 'from thinc.api import require_gpu; require_gpu(0)'
mkdir -p "$folder"

heading "corpus and encoders"
for tokens in gold spacy; do
  python -m spacy_wnut convert "$folder/corpus/$tokens" --tokens "$tokens"
done
encoder encoder-minilm "$minilm"
encoder encoder-mpnet "$mpnet"

# distilbert.cfg has mixed precision.
heading "training, MiniLM"
train minilm distilbert encoder-minilm
heading "training, mpnet"
train mpnet distilbert encoder-mpnet

for name in minilm mpnet; do
  heading "entities on the GPU and on the CPU, $name"
  python -m benchmarks.reliability.gpu_parity "$folder/$name/model-best" \
    "$folder/corpus/gold/dev.spacy" --name "$name" --gpu-id 0
done

heading "training of the other systems, MiniLM"
# The head of distilbert.cfg can't be written for transformers.
train tutorial tutorial encoder-minilm
train spacy_ner spacy_ner encoder-minilm

heading "speed"
if [ ! -e "$folder/hf/config.json" ]; then
  python -m spacy_wnut to-hf "$folder/tutorial/model-best" "$folder/hf"
fi
# transformers computes in full precision, so the same is measured of ours, too.
full=$folder/full-precision
rm -rf "$full"
cp -R "$folder/minilm/model-best" "$full"
sed 's/^mixed_precision = true$/mixed_precision = false/' \
  "$folder/minilm/model-best/config.cfg" > "$full/config.cfg"
# New environments would be without cupy, so all systems run in the current one.
mkdir -p "$folder/environments"
prefix=$(python -c 'import sys; print(sys.prefix)')
for name in transformers torch; do
  ln -sfn "$prefix" "$folder/environments/$name"
done
python -m benchmarks.speed.inference run --gpu-id 0 --rounds 2 \
  --transformers "$folder/hf" --spacy-ner "$folder/spacy_ner/model-best" \
  --torch "$full" --torch-bf16 "$folder/minilm/model-best" \
  --test "$folder/corpus/spacy/test.spacy" --dev "$folder/corpus/spacy/dev.spacy" \
  --environments "$folder/environments"
heading "done"
