// Latency of models that take turns, as `hrnet benchmark` measures it: a warm-up, then rounds in which every model runs once
// untimed and once timed, each round beginning with another model.

const WARMUP_RUNS = 5;
const LEAST_TICKS = 20; // of the clock, in a sample

/** The smallest step of the browser's clock in milliseconds. */
export function clockStep() {
  const steps = Array.from({length: 10}, () => {
    const begun = performance.now();
    let now = begun;
    while (now === begun) now = performance.now();
    return now - begun;
  });
  return Math.min(...steps);
}

/**
 * Measure models.
 *
 * @param models The models.
 * @param rounds Number of timed samples of each.
 * @param onRound Called with the number of rounds done; it may return a promise.
 * @returns For each model {load_ms, first_ms, warmup_ms, samples_ms, runs_per_sample, clock_step_ms}. Where the clock is coarse, a
 *     sample is the mean of several runs in a row.
 */
export async function benchmark(models, rounds, onRound = () => {}) {
  const step = clockStep();
  const turns = [];
  try {
    for (const model of models) {
      const tensor = model.tensor(model.randomInput());
      turns.push({model, tensor, warmup: [], samples: []});
    }
    for (const turn of turns) {
      for (let run = 0; run <= WARMUP_RUNS; run++) turn.warmup.push(await timed(turn, 1));
      const typical = Math.max(Math.min(...turn.warmup), step / LEAST_TICKS);
      turn.repeats = Math.max(Math.ceil(LEAST_TICKS * step / typical), 1);
    }
    for (let round = 0; round < rounds; round++) {
      for (let place = 0; place < turns.length; place++) {
        const turn = turns[(round + place) % turns.length];
        await turn.model.invoke(turn.tensor); // refills the caches that the other models have used
        turn.samples.push(await timed(turn, turn.repeats));
      }
      await onRound(round + 1);
    }
  } finally {
    turns.forEach(({tensor}) => tensor.delete());
  }
  return turns.map(({model, warmup: [first, ...others], samples, repeats}) => ({
    load_ms: model.loadMs,
    first_ms: first,
    warmup_ms: others,
    samples_ms: samples,
    runs_per_sample: repeats,
    clock_step_ms: step,
  }));
}

async function timed({model, tensor}, repeats) {
  const begun = performance.now();
  for (let run = 0; run < repeats; run++) await model.invoke(tensor);
  return (performance.now() - begun) / repeats;
}
