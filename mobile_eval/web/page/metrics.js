// Accuracy on the validation images of the folder. Each image gives sums, and a score is a function of sums over images.

const PCK_THRESHOLD = 0.1; // of the longer side of the box
const IGNORED = 255; // in masks
const FAR = 0.5; // pixels

const METRICS = {
  pck: {sums: keypointSums, score: ([correct, labelled]) => correct / labelled},
  nme: {sums: errorSums, score: ([error, faces]) => error / faces},
  top1: {sums: ({best}, {label}) => [best[0] === label ? 1 : 0, 1], score: ([correct, images]) => correct / images},
  miou: {sums: maskSums, score: meanIou},
};

/** The sums of a prediction that the metric is computed from. `item` is an entry of the validation images. */
export function sumsOf(metric, prediction, item, truth) {
  return METRICS[metric.key].sums(prediction, item, truth);
}

/** The score of the sums of images; null where nothing is labelled. */
export function scoreOf(metric, sums) {
  const totals = sums[0].map((_, entry) => sums.reduce((total, row) => total + row[entry], 0));
  const score = METRICS[metric.key].score(totals, sums[0].length);
  return Number.isFinite(score) ? score : null;
}

function labelledDistances({keypoints}, {keypoints: truth, unit}) {
  return truth.flatMap(([x, y, visibility], joint) =>
    (visibility > 0 && unit > 0 ? [Math.hypot(keypoints[joint][0] - x, keypoints[joint][1] - y) / unit] : []));
}

function keypointSums(prediction, item) {
  const distances = labelledDistances(prediction, item);
  return [distances.filter((distance) => distance <= PCK_THRESHOLD).length, distances.length];
}

function errorSums(prediction, item) {
  const distances = labelledDistances(prediction, item);
  const mean = distances.reduce((total, distance) => total + distance, 0) / distances.length;
  return distances.length ? [mean, 1] : [0, 0];
}

/** For each class the numbers of pixels that are correct, annotated and predicted; annotated ones only. `truth` is the mask. */
function maskSums({classMap}, {classes}, truth) {
  const sums = new Array(classes * 3).fill(0);
  truth.forEach((label, pixel) => {
    if (label === IGNORED) return;
    const predicted = classMap[pixel];
    if (label === predicted) sums[label]++;
    sums[classes + label]++;
    sums[2 * classes + predicted]++;
  });
  return sums;
}

/** Mean, over the classes that occur or are predicted, of intersection over union. */
function meanIou(totals) {
  const classes = totals.length / 3, values = [];
  for (let index = 0; index < classes; index++) {
    const correct = totals[index], union = totals[classes + index] + totals[2 * classes + index] - correct;
    if (union > 0) values.push(correct / union);
  }
  return values.reduce((total, value) => total + value, 0) / values.length;
}

/**
 * How a prediction differs from the evaluator's: the distance of each keypoint in pixels, or the share of classes that differ.
 *
 * @param prediction The prediction.
 * @param expected The evaluator's: keypoints, the index of a class, or the classes of the pixels.
 * @returns A list of numbers.
 */
export function difference({keypoints, classMap, best}, expected) {
  if (keypoints) return keypoints.map(([x, y], joint) => Math.hypot(x - expected[joint][0], y - expected[joint][1]));
  if (classMap) return [classMap.filter((label, pixel) => label !== expected[pixel]).length / classMap.length];
  return [best[0] === expected ? 0 : 1];
}

/**
 * The differences of all images: of keypoints the largest distance in pixels and how many are far, of classes the mean share in
 * percent.
 *
 * @returns {value, remark}
 */
export function overallDifference({key}, differences) {
  const values = differences.flat();
  if (key === 'pck' || key === 'nme') {
    return {value: Math.max(...values), remark: `${values.filter((distance) => distance > FAR).length} of ${values.length} above ${FAR}`};
  }
  return {value: 100 * values.reduce((total, share) => total + share, 0) / values.length, remark: ''};
}
