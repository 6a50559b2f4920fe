// Keypoints from boxes and heatmaps: a port of mobile_eval/image/geometry.py and mobile_eval/keypoints/decode.py.
// A contract is what `hrnet vectors` writes about a model. Keypoints are [x, y, score], boxes [x, y, width, height].

import {dequantize, invert} from './images.js';

const UDP = 'udp';
const BLUR_KERNEL = 11; // pixels
const BLUR_SIGMA = 0.3 * ((BLUR_KERNEL - 1) * 0.5 - 1) + 0.8; // OpenCV's for that kernel
const MIN_HEAT = 1e-10, UDP_HEAT_RANGE = [1e-3, 50];
const EPSILON = 2 ** -23; // of float32
const SCORE_THRESHOLD = 0.2; // below it a keypoint is not confident
const MIN_CONFIDENT = 4, MARGIN = 0.25; // of a box around keypoints

/** The matrix [[a, 0, c], [0, e, f]] from image to crop pixels for a box. */
export function boxMatrix([x, y, boxWidth, boxHeight], contract) {
  const {size: [height, width], box_padding: padding, geometry} = contract.input;
  const aspect = width / height;
  const extent = [Math.max(boxWidth, boxHeight * aspect) * padding, Math.max(boxHeight, boxWidth / aspect) * padding];
  const length = geometry === UDP ? [width - 1, height - 1] : [width, height];
  const scale = geometry === UDP ? [length[0] / extent[0], length[1] / extent[1]] : Array(2).fill(length[0] / extent[0]);
  return [
    [scale[0], 0, length[0] / 2 - scale[0] * (x + boxWidth / 2)],
    [0, scale[1], length[1] / 2 - scale[1] * (y + boxHeight / 2)],
  ];
}

/**
 * Decode the outputs of a model to keypoints in heatmap pixels.
 *
 * @param outputs The output tensors as they are stored, in the contract's order.
 * @param contract The contract.
 */
export function decode(outputs, contract) {
  if (contract.decoding.kind === 'keypoints') return decodedInGraph(outputs, contract);
  const [tensor] = contract.outputs, [stored] = outputs;
  return contract.decoding.geometry === UDP
    ? decodeUdp(dequantize(stored, tensor), tensor.shape)
    : decodeQuarter(stored, tensor);
}

/** Keypoints that the model decoded in its graph: locations in quarters of a heatmap pixel, and scores. */
function decodedInGraph([locations, stored], contract) {
  const scores = dequantize(stored, contract.outputs[1]);
  return Array.from(scores, (score, joint) => keypoint(locations[joint * 2] / 4, locations[joint * 2 + 1] / 4, score));
}

/** The maximum of each heatmap (1, H, W, K), moved by a quarter pixel towards the higher of its neighbors. */
function decodeQuarter(stored, tensor) {
  const [, height, width, joints] = tensor.shape;
  return Array.from({length: joints}, (_, joint) => {
    const at = (x, y) => stored[(y * width + x) * joints + joint];
    const [x, y] = maximum(stored, tensor.shape, joint);
    const [score] = dequantize([at(x, y)], tensor);
    const inside = x > 1 && x < width - 1 && y > 1 && y < height - 1;
    const dx = inside ? Math.sign(at(x + 1, y) - at(x - 1, y)) / 4 : 0;
    const dy = inside ? Math.sign(at(x, y + 1) - at(x, y - 1)) / 4 : 0;
    return keypoint(x + dx, y + dy, score);
  });
}

/** The position [x, y] of the maximum of a heatmap; of several the first one. */
function maximum(values, [, height, width, joints], joint) {
  let best = 0;
  for (let pixel = 1; pixel < height * width; pixel++) {
    if (values[pixel * joints + joint] > values[best * joints + joint]) best = pixel;
  }
  return [best % width, Math.floor(best / width)];
}

/** One Newton step from the maximum on the logarithm of the blurred heatmap (arXiv 1911.07524). */
function decodeUdp(heatmaps, shape) {
  const [, height, width, joints] = shape;
  return Array.from({length: joints}, (_, joint) => {
    const [x, y] = maximum(heatmaps, shape, joint);
    const score = heatmaps[(y * width + x) * joints + joint];
    const map = Float32Array.from({length: height * width}, (_, pixel) => heatmaps[pixel * joints + joint]);
    const blurred = blur(map, height, width);
    const factor = Math.max(...map) / Math.max(Math.max(...blurred), MIN_HEAT);
    const at = (dx, dy) => {
      const column = Math.min(Math.max(x + dx, 0), width - 1), row = Math.min(Math.max(y + dy, 0), height - 1);
      const heat = blurred[row * width + column] * factor;
      return Math.log(Math.min(Math.max(heat, UDP_HEAT_RANGE[0]), UDP_HEAT_RANGE[1]));
    };
    const [dx, dy] = newtonStep(at);
    return keypoint(x + dx, y + dy, score);
  });
}

/** Blur a map by a Gaussian with zeros around it. */
function blur(map, height, width) {
  const reach = (BLUR_KERNEL - 1) / 2;
  const weights = Array.from({length: BLUR_KERNEL}, (_, index) => Math.exp(-((index - reach) ** 2) / (2 * BLUR_SIGMA ** 2)));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const along = (source, value) => Float32Array.from(source, (_, pixel) => {
    let total = 0;
    weights.forEach((weight, index) => total += weight / sum * value(source, pixel, index - reach));
    return total;
  });
  const rows = along(map, (source, pixel, offset) => {
    const column = pixel % width + offset;
    return column >= 0 && column < width ? source[pixel + offset] : 0;
  });
  return along(rows, (source, pixel, offset) => {
    const row = Math.floor(pixel / width) + offset;
    return row >= 0 && row < height ? source[pixel + offset * width] : 0;
  });
}

/** The step to the vertex of the paraboloid through `at(dx, dy)`; none if it is farther than the blur reaches. */
function newtonStep(at) {
  const [center, left, right, above, below] = [at(0, 0), at(-1, 0), at(1, 0), at(0, -1), at(0, 1)];
  const dx = (right - left) / 2, dy = (below - above) / 2;
  const dxx = right - 2 * center + left + EPSILON, dyy = below - 2 * center + above + EPSILON;
  const dxy = (at(1, 1) - right - below + 2 * center - left - above + at(-1, -1)) / 2;
  const determinant = dxx * dyy - dxy ** 2;
  if (determinant === 0) return [0, 0];
  const step = [(dxy * dy - dyy * dx) / determinant, (dxy * dx - dxx * dy) / determinant];
  return step.every((distance) => Math.abs(distance) <= Math.floor(BLUR_KERNEL / 2)) ? step : [0, 0];
}

function keypoint(x, y, score) {
  return score > 0 ? [x, y, score] : [0, 0, score];
}

/** From keypoints in heatmap pixels to keypoints in image pixels. */
export function toImage(keypoints, matrix, contract) {
  const {offset, heatmap_pixel: pixel} = contract.decoding;
  const [[a, b, c], [d, e, f]] = invert(matrix);
  return keypoints.map(([heatmapX, heatmapY, score]) => {
    const x = (heatmapX + offset) * pixel[0], y = (heatmapY + offset) * pixel[1];
    return [a * x + b * y + c, d * x + e * y + f, score];
  });
}

/** The box of the confident keypoints of a frame, with a margin, inside an image of that width and height; or the full image. */
export function boxAround(keypoints, width, height) {
  const full = [0, 0, width, height];
  const confident = (keypoints ?? []).filter(([, , score]) => score > SCORE_THRESHOLD);
  if (confident.length < MIN_CONFIDENT) return full;
  const [left, right] = extent(confident.map(([x]) => x), width), [top, bottom] = extent(confident.map(([, y]) => y), height);
  return right - left > 1 && bottom - top > 1 ? [left, top, right - left, bottom - top] : full;
}

function extent(values, limit) {
  const low = Math.min(...values), high = Math.max(...values), margin = MARGIN * (high - low);
  return [low - margin, high + margin].map((value) => Math.min(Math.max(value, 0), limit));
}
