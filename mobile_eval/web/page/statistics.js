// Percentiles and bootstrap intervals, as mobile_eval/benchmark/latency.py and bootstrap.py compute them.

const RESAMPLES = 2000, TAIL = 2.5; // percent

/** The percentile of values, interpolated linearly as numpy does. */
export function percentile(values, percent) {
  const sorted = Float64Array.from(values).sort();
  const position = (sorted.length - 1) * percent / 100, first = Math.floor(position);
  return sorted[first] + (sorted[Math.min(first + 1, sorted.length - 1)] - sorted[first]) * (position - first);
}

/** The figures of a latency in the keys of `hrnet benchmark`. */
export function summary(samples) {
  const mean = samples.reduce((total, value) => total + value, 0) / samples.length;
  const variance = samples.reduce((total, value) => total + (value - mean) ** 2, 0) / samples.length;
  const third = Math.max(Math.floor(samples.length / 3), 1);
  return {
    p50_ms: percentile(samples, 50),
    p90_ms: percentile(samples, 90),
    p99_ms: percentile(samples, 99),
    mean_ms: mean,
    std_ms: Math.sqrt(variance),
    min_ms: Math.min(...samples),
    max_ms: Math.max(...samples),
    drift: percentile(samples.slice(-third), 50) / percentile(samples.slice(0, third), 50) - 1,
  };
}

/** A generator of random integers below a limit, the same in each run (mulberry32). */
function randomIntegers(seed) {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return Math.floor(((value ^ (value >>> 14)) >>> 0) / 4294967296 * limit);
  };
}

/** 95 % bootstrap interval {low, high} of `statistic(indices)` over resamples of `count` indices. */
export function interval(count, statistic) {
  const random = randomIntegers(0), values = [];
  for (let resample = 0; resample < RESAMPLES; resample++) {
    values.push(statistic(Array.from({length: count}, () => random(count))));
  }
  return {low: percentile(values, TAIL), high: percentile(values, 100 - TAIL)};
}

/** 95 % interval of the ratio of two median latencies, over the rounds that they share. */
export function ratioInterval(samples, reference) {
  const median = (values, indices) => percentile(indices.map((index) => values[index]), 50);
  return interval(samples.length, (indices) => median(samples, indices) / median(reference, indices));
}
