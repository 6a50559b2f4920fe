// Classes from logits: class maps of segmentation and probabilities of classification.

import {linearWeights} from './images.js';

/** Probabilities from logits. */
export function probabilities(logits) {
  const largest = Math.max(...logits);
  const weights = Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

/** Indices of the classes, the likeliest first; of equal ones the first. */
export function bestClasses(values) {
  return Array.from(values.keys()).sort((first, second) => values[second] - values[first] || first - second);
}

/** The likeliest class of each pixel: logits (1, h, w, C), enlarged bilinearly to that height and width. */
export function classMap(logits, [, rows, columns, classes], height, width) {
  const vertical = linearWeights(rows, height), horizontal = linearWeights(columns, width);
  const map = new Uint8Array(height * width);
  const upper = new Float32Array(columns * classes);
  let pixel = 0;
  for (const [top, bottom, fy] of vertical) {
    for (let index = 0; index < upper.length; index++) {
      const [above, below] = [logits[top * upper.length + index], logits[bottom * upper.length + index]];
      upper[index] = above + (below - above) * fy;
    }
    for (const [left, right, fx] of horizontal) {
      let best = -Infinity;
      for (let index = 0; index < classes; index++) {
        const first = upper[left * classes + index], value = first + (upper[right * classes + index] - first) * fx;
        if (value > best) {
          best = value;
          map[pixel] = index;
        }
      }
      pixel++;
    }
  }
  return map;
}
