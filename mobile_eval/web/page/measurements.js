// The buttons that measure latency and accuracy, and save the results.

import {benchmark} from './benchmark.js';
import {difference, overallDifference, scoreOf, sumsOf} from './metrics.js';
import {addRow, byId, clearRows, fixed, nextFrame, showStatus} from './page.js';
import {predict} from './predict.js';
import {environment, results} from './results.js';
import {percentile, ratioInterval} from './statistics.js';
import {readPicture} from './viewer.js';

const BUTTONS = ['benchmark', 'evaluate', 'save'];

export class Measurements {
  constructor(site, models, viewer, accelerator) {
    Object.assign(this, {site, models, viewer, accelerator});
    byId('benchmark').addEventListener('click', () => this.alone('benchmark', () => this.measureLatency()));
    byId('evaluate').addEventListener('click', () => this.alone('evaluate', () => this.measureAccuracy()));
    byId('save').addEventListener('click', () => this.save());
    byId('accuracy-section').hidden = !site.items.length;
    byId('metric').textContent = site.metric.name;
    byId('difference').textContent = site.items[0]?.box ? 'largest distance, pixels' : 'differing, %';
    byId('accuracy-about').textContent = `${site.items.length} validation ${site.items.length === 1 ? 'image' : 'images'} of the folder. The evaluator’s figures are those of hrnet evaluate, on the machine that made this folder.`;
  }

  /** Do a measurement while everything else that runs the models is off. */
  async alone(name, measure) {
    this.viewer.stopCamera();
    byId('try').inert = true;
    const progress = byId(`${name}-progress`);
    BUTTONS.forEach((id) => byId(id).disabled = true);
    progress.hidden = false;
    try {
      await measure();
    } catch (error) {
      showStatus(error.message, true);
      throw error;
    } finally {
      progress.hidden = true;
      byId('try').inert = false;
      BUTTONS.forEach((id) => byId(id).disabled = id === 'save' && !this.timings);
    }
  }

  async advance(name, share) {
    byId(`${name}-progress`).value = share;
    await nextFrame();
  }

  async measureLatency() {
    const rounds = Math.min(Math.max(Math.round(byId('rounds').valueAsNumber) || 1, 1), 10000);
    byId('rounds').value = String(rounds);
    const timings = await benchmark(this.models, rounds, (done) => this.advance('benchmark', done / rounds));
    clearRows('latency');
    const [{samples_ms: base}] = timings;
    timings.forEach(({samples_ms: samples, first_ms: first, load_ms: load}, index) => {
      const interval = index ? ratioInterval(samples, base) : null;
      const ratio = percentile(samples, 50) / percentile(base, 50);
      const text = interval ? [fixed(ratio, 2), `${fixed(interval.low, 2)} to ${fixed(interval.high, 2)}`] : '1';
      const figures = [percentile(samples, 50), percentile(samples, 90), first, load];
      addRow('latency', [this.models[index].label, ...figures.map((value) => fixed(value, 2)), text]);
    });
    const [{clock_step_ms: step}] = timings;
    byId('clock').textContent = `${rounds} rounds. The clock of this browser moves in steps of ${fixed(step, 3)} ms.`;
    byId('clock').hidden = byId('latency').hidden = false;
    this.timings = timings;
  }

  async measureAccuracy() {
    const {items, metric, labels} = this.site;
    const sums = this.models.map(() => []), differences = this.models.map(() => []);
    for (const [number, item] of items.entries()) {
      const {image} = await readPicture(item.image);
      const truth = item.mask ? await readMask(item.mask) : null;
      for (const [index, model] of this.models.entries()) {
        const prediction = await predict(model, image, item.box);
        const expected = item.mask ? await readMask(item.expected[index]) : item.expected[index];
        sums[index].push(sumsOf(metric, prediction, {...item, classes: labels.names.length}, truth));
        differences[index].push(difference(prediction, expected));
      }
      await this.advance('evaluate', (number + 1) / items.length);
    }
    clearRows('accuracy');
    this.models.forEach((model, index) => {
      const scores = [scoreOf(metric, sums[index]), model.score].map((score) => fixed(score, 4));
      const {value, remark} = overallDifference(metric, differences[index]);
      addRow('accuracy', [model.label, ...scores, [fixed(value, 3), remark]]);
    });
    byId('accuracy').hidden = false;
    this.sums = sums;
  }

  async save() {
    const machine = await environment(byId('device').value.trim());
    const content = results(this.site, this.timings, this.sums ?? null, machine, this.accelerator);
    const url = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1)], {type: 'application/json'}));
    const link = Object.assign(document.createElement('a'), {href: url, download: 'results.json'});
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }
}

/** The classes of a mask, which is a grayscale picture. */
async function readMask(url) {
  const {image: {data}} = await readPicture(url);
  return Uint8Array.from({length: data.length / 4}, (_, pixel) => data[pixel * 4]);
}
