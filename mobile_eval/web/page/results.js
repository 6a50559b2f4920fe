// The measurements as a results.json, which `hrnet compare` lays beside those of other devices. Each "latency" has the keys of
// `hrnet benchmark`.

import {interval, percentile, ratioInterval, summary} from './statistics.js';
import {scoreOf} from './metrics.js';

const UNAVAILABLE = 'unavailable';

/** The browser and its machine, in the keys of the evaluator's environment; "unavailable" where the browser does not say. */
export async function environment(device) {
  const agent = navigator.userAgentData;
  const details = agent?.getHighEntropyValues ? await agent.getHighEntropyValues(['architecture', 'bitness', 'model', 'platformVersion']) : {};
  const platform = [agent?.platform || navigator.platform, details.platformVersion].filter(Boolean).join(' ');
  return {
    processor: device || details.model || platform || UNAVAILABLE,
    architecture: details.architecture ? `${details.architecture}${details.bitness ? ` ${details.bitness} bit` : ''}` : UNAVAILABLE,
    cores: navigator.hardwareConcurrency ?? 1,
    system: platform || UNAVAILABLE,
    python: UNAVAILABLE,
    governor: UNAVAILABLE,
    frequency_mhz: UNAVAILABLE,
    temperature_celsius: UNAVAILABLE,
    date: new Date().toISOString().replace(/\.\d+Z$/, '+00:00'),
    allowed_cores: [],
    browser: navigator.userAgent,
  };
}

/**
 * The content of results.json.
 *
 * @param site The content of site.json.
 * @param timings What `benchmark` returned, for each model.
 * @param sums For each model the sums of each validation image; null if the accuracy was not measured.
 * @param machine What `environment` returned.
 * @param accelerator "wasm" or "webgpu".
 */
export function results(site, timings, sums, machine, accelerator = 'wasm') {
  const delegate = accelerator === 'wasm' ? 'WebAssembly' : 'WebGPU';
  const runtime = `${site.runtime.name} ${site.runtime.version} (${delegate})`;
  return {
    format_version: 1,
    command: `web page of ${site.models.map(({model}) => model).join(', ')}`,
    task: site.task,
    metric: site.metric,
    data: site.data,
    items: sums ? site.items.length : 0,
    runtime,
    threads: 1,
    environment: machine,
    models: site.models.map((entry, index) => model(site, entry, timings, sums, index, runtime, delegate, machine)),
    arms: [],
  };
}

function model(site, entry, timings, sums, index, runtime, delegate, machine) {
  const reference = entry.reference, isReference = reference === index;
  const samples = timings[index].samples_ms, base = timings[reference].samples_ms;
  const scores = sums?.map((rows) => scoreOf(site.metric, rows));
  return {
    label: entry.label,
    links_kept: entry.links_kept,
    links_possible: entry.links_possible,
    reference: site.models[reference].label,
    latency_ratio: percentile(samples, 50) / percentile(base, 50),
    paired_latency_ratio: percentile(samples.map((sample, round) => sample / base[round]), 50),
    latency_ratio_interval: isReference ? null : ratioInterval(samples, base),
    score: scores ? scores[index] : null,
    score_difference_interval: isReference || !sums ? null : differenceInterval(site.metric, sums[index], sums[reference]),
    evaluation: {model: entry.model, [site.metric.key]: scores ? scores[index] : null, items: sums ? site.items.length : 0},
    latency: {
      ...summary(samples),
      model: entry.model,
      runtime,
      threads: 1,
      placement: {delegate, operators: null, delegated: null, partitions: null, remaining: {}},
      mode: 'interleaved',
      size_bytes: entry.size_bytes,
      sha256: entry.sha256,
      ...timings[index],
      before: machine,
      after: machine,
      memory: null,
      pipeline: null,
    },
    description: entry.description,
  };
}

function differenceInterval(metric, sums, reference) {
  const score = (rows, indices) => scoreOf(metric, indices.map((index) => rows[index])) ?? 0;
  return interval(sums.length, (indices) => score(sums, indices) - score(reference, indices));
}
