#!/usr/bin/env bash
# Train the runs of docs/results/text.md: text_results.sh BEAUTY_FOLDER MUSIC_REVIEWS.json.gz RUNS [SEEDS]
set -euo pipefail
beauty=$1 music=$2 runs=$3 seeds=${4:-"0 1 2"}

fit() { # NAME SEED OPTIONS; an existing run is not repeated
    [ -e "$runs/$1-$2/metrics.json" ] || interestlab fit "${@:3}" --run_dir="$runs/$1-$2" --seed_everything="$2" --data.seed="$2"
}
review() { echo "{id: id, review: {class_path: $1, init_args: {fields: [event.text], max_length: 32}}}"; }

titles=(--config configs/sasrec.yaml --model.fusion=attention --data.source=files
    --data.source.interactions="$beauty/interactions.parquet" --data.source.items="$beauty/items.parquet"
    --trainer.max_epochs=16 --trainer.check_val_every_n_epoch=4)
reviews=(--recipe=none --model.objective=next_item --model.fusion=attention --data.source=amazon --data.source.path="$music"
    --data.batch_events=1024)
long=(--trainer.max_epochs=60 --early_stopping.patience=8)
short=(--trainer.max_epochs=3 --trainer.check_val_every_n_epoch=3 --model.optim.lr=0.003)

for seed in $seeds; do
    fit titles-id "$seed" "${titles[@]}" --model.encoder=id
    fit titles-frozen "$seed" "${titles[@]}" --model.encoder=frozen
    fit titles-id_frozen "$seed" "${titles[@]}" --model.encoder="{id: id, title: frozen}"
    for dynamics in ewma momentum; do
        fit "music-id-$dynamics" "$seed" "${reviews[@]}" "${long[@]}" --model.dynamics=$dynamics --model.encoder=id
        fit "music-frozen-$dynamics" "$seed" "${reviews[@]}" "${long[@]}" --model.dynamics=$dynamics --model.encoder="$(review frozen)"
        for encoder in full frozen; do # `full` takes about ten minutes on two cores
            fit "short-$encoder-$dynamics" "$seed" "${reviews[@]}" "${short[@]}" --model.dynamics=$dynamics --model.encoder="$(review $encoder)"
        done
        fit "short-id-$dynamics" "$seed" "${reviews[@]}" "${short[@]}" --model.dynamics=$dynamics --model.encoder=id
    done
    fit music-id-transformer "$seed" "${reviews[@]}" "${long[@]}" --model.dynamics=transformer --model.encoder=id
done
