// Boxes of a detector by centers: a port of mobile_eval/tasks/detection/centers.py and mobile_eval/pipeline/selection.py.
// Boxes are [x, y, width, height], and inside of these functions {corners: [x1, y1, x2, y2], score, label}.

import {dequantize} from './images.js';

/**
 * The boxes of a class, the best first.
 *
 * @param outputs The output tensors as they are stored, in the contract's order: logits of centers, log sizes, offsets.
 * @param contract The contract of the detector; its decoding has all limits.
 * @param image The image, for its width and height.
 */
export function boxesOf(outputs, contract, {width, height}) {
  const {decoding} = contract, objects = bestObjects(outputs, contract, width, height);
  const inside = objects.filter(({score, label}) => label === decoding.label && score >= decoding.min_score)
    .map(({corners, score}) => ({corners: corners.map((value, side) => clip(value, 0, side % 2 ? height : width)), score}))
    .filter(({corners: [x1, y1, x2, y2]}) => x2 - x1 >= decoding.min_side && y2 - y1 >= decoding.min_side);
  return suppress(inside, decoding.max_iou, decoding.max_boxes)
    .map(({corners: [x1, y1, x2, y2]}) => [x1, y1, x2 - x1, y2 - y1]);
}

/** The best objects of all classes, in pixels of an image of that width and height. */
function bestObjects(outputs, contract, width, height) {
  const {decoding, input: {size}} = contract, [centers, sizes, offsets] = outputs;
  const [, rows, columns, classes] = contract.outputs[0].shape, stride = [size[1] / columns, size[0] / rows];
  const real = (stored, tensor, index) => dequantize([stored[index]], contract.outputs[tensor])[0];
  const objects = peaks(dequantize(centers, contract.outputs[0]), [rows, columns, classes], decoding).map(({row, column, label, logit}) => {
    const corners = [0, 1, 2, 3].map((side) => {
      const axis = side % 2, index = (row * columns + column) * 2 + axis;
      const place = [column, row][axis] + real(offsets, 2, index);
      const half = Math.exp(clip(real(sizes, 1, index), -decoding.max_log_size, decoding.max_log_size)) / 2;
      return clip((side < 2 ? place - half : place + half) * stride[axis], 0, size[1 - axis]);
    });
    return {corners, label, score: 1 / (1 + Math.exp(-logit))};
  });
  objects.sort((first, second) => second.score - first.score);
  const kept = Array.from({length: classes}, (_, label) =>
    suppress(objects.filter((object) => object.label === label), decoding.iou, decoding.max_detections)).flat();
  kept.sort((first, second) => second.score - first.score);
  const scale = [width / size[1], height / size[0]];
  return kept.slice(0, decoding.max_detections)
    .map((object) => ({...object, corners: object.corners.map((value, side) => value * scale[side % 2])}));
}

/** The places whose logit is the largest of 3x3 places, and not too low: the best of them, by row. */
function peaks(logits, [rows, columns, classes], {score_threshold: threshold, max_centers: limit}) {
  const least = Math.log(threshold / (1 - threshold)), places = [];
  logits.forEach((logit, index) => {
    if (!(logit > least)) return;
    const label = index % classes, column = Math.floor(index / classes) % columns, row = Math.floor(index / classes / columns);
    for (let y = Math.max(row - 1, 0); y <= Math.min(row + 1, rows - 1); y++) {
      for (let x = Math.max(column - 1, 0); x <= Math.min(column + 1, columns - 1); x++) {
        if (logits[(y * columns + x) * classes + label] > logit) return;
      }
    }
    places.push({row, column, label, logit});
  });
  return places.sort((first, second) => second.logit - first.logit).slice(0, limit);
}

/** Of boxes, the best first, those that no better one overlaps by more than `threshold`; at most `limit`. */
function suppress(boxes, threshold, limit) {
  const kept = [];
  for (const box of boxes) {
    if (kept.length === limit) break;
    if (kept.every((better) => overlap(better.corners, box.corners) <= threshold)) kept.push(box);
  }
  return kept;
}

function overlap(first, second) {
  const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);
  const sides = [0, 1].map((axis) => Math.max(Math.min(first[axis + 2], second[axis + 2]) - Math.max(first[axis], second[axis]), 0));
  const common = sides[0] * sides[1];
  return common / Math.max(area(first) + area(second) - common, 1e-9);
}

function clip(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
