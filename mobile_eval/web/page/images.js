// From pixels to a network's input. Images are {data, width, height} with RGBA bytes, as a canvas gives them.
// Sizes are [height, width], as in the contract. The steps are those of mobile_eval/image/preprocess.py.

const CENTER_FRACTION = 0.875; // of the resized image's shorter side
const WEIGHT_STEPS = 2048; // of OpenCV's weights when it resizes bytes

/** Round to the nearest integer, and halves to the even one, as numpy and OpenCV do. */
export function roundHalfEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/**
 * Cut a crop out of an image: bilinear, black outside.
 *
 * @param image The image.
 * @param matrix Matrix [[a, b, c], [d, e, f]] from image to crop pixels; centers of pixels have integer coordinates.
 * @param size [height, width] of the crop.
 * @returns RGB bytes, row by row.
 */
export function warp(image, matrix, [height, width]) {
  const inverse = invert(matrix);
  const crop = new Uint8Array(height * width * 3);
  let target = 0;
  for (let v = 0; v < height; v++) {
    for (let u = 0; u < width; u++, target += 3) {
      const x = inverse[0][0] * u + inverse[0][1] * v + inverse[0][2];
      const y = inverse[1][0] * u + inverse[1][1] * v + inverse[1][2];
      sample(image, x, y, crop, target);
    }
  }
  return crop;
}

function sample({data, width, height}, x, y, crop, target) {
  if (!(x > -1 && y > -1 && x < width && y < height)) return;
  const left = Math.floor(x), top = Math.floor(y), fx = x - left, fy = y - top;
  const first = (top * width + left) * 4, next = first + width * 4;
  const hasLeft = left >= 0, hasRight = left + 1 < width, hasTop = top >= 0, hasBottom = top + 1 < height;
  for (let channel = 0; channel < 3; channel++) {
    const topLeft = hasTop && hasLeft ? data[first + channel] : 0;
    const topRight = hasTop && hasRight ? data[first + 4 + channel] : 0;
    const bottomLeft = hasBottom && hasLeft ? data[next + channel] : 0;
    const bottomRight = hasBottom && hasRight ? data[next + 4 + channel] : 0;
    const upper = topLeft * (1 - fx) + topRight * fx, lower = bottomLeft * (1 - fx) + bottomRight * fx;
    crop[target + channel] = roundHalfEven(upper * (1 - fy) + lower * fy);
  }
}

/** The inverse of an affine matrix [[a, b, c], [d, e, f]]. */
export function invert([[a, b, c], [d, e, f]]) {
  const determinant = a * e - b * d;
  const [p, q, r, s] = [e / determinant, -b / determinant, -d / determinant, a / determinant];
  return [[p, q, -(p * c + q * f)], [r, s, -(r * c + s * f)]];
}

/**
 * Resize an image to [height, width], bilinearly between the centers of pixels, without regard to its aspect ratio. Weights are
 * multiples of 1 / 2048 and sums are rounded as OpenCV does.
 */
export function resize(image, [height, width]) {
  const columns = fixedWeights(image.width, width), rows = fixedWeights(image.height, height), {data} = image;
  const crop = new Uint8Array(height * width * 3);
  let target = 0;
  for (const {first: top, second: bottom, weights: [above, below]} of rows) {
    const upperRow = top * image.width, lowerRow = bottom * image.width;
    for (const {first: left, second: right, weights: [before, after]} of columns) {
      for (let channel = 0; channel < 3; channel++) {
        const upper = data[(upperRow + left) * 4 + channel] * before + data[(upperRow + right) * 4 + channel] * after;
        const lower = data[(lowerRow + left) * 4 + channel] * before + data[(lowerRow + right) * 4 + channel] * after;
        crop[target++] = (((above * (upper >> 4)) >> 16) + ((below * (lower >> 4)) >> 16) + 2) >> 2;
      }
    }
  }
  return crop;
}

function fixedWeights(source, resized) {
  return linearWeights(source, resized).map(([first, second, weight]) => ({
    first,
    second,
    weights: [1 - Math.fround(weight), Math.fround(weight)].map((share) => roundHalfEven(share * WEIGHT_STEPS)),
  }));
}

/** For each pixel of a resized side: its two source pixels, and the weight of the second. */
export function linearWeights(source, resized) {
  return Array.from({length: resized}, (_, index) => {
    const position = Math.min(Math.max((index + 0.5) * source / resized - 0.5, 0), source - 1);
    const first = Math.floor(position);
    return [first, Math.min(first + 1, source - 1), position - first];
  });
}

/** Resize an image so that `size` is 0.875 of it, averaging where it shrinks, and crop the center: RGB bytes. */
export function resizedCenter(image, size) {
  const minimum = size.map((side) => roundHalfEven(side / CENTER_FRACTION)), source = [image.height, image.width];
  const scale = Math.max(...minimum.map((side, axis) => side / source[axis]));
  const sides = minimum.map((side, axis) => Math.max(side, Math.trunc(source[axis] * scale)));
  const [rows, columns] = size.map((crop, axis) =>
    triangleWeights(source[axis], sides[axis], roundHalfEven((sides[axis] - crop) / 2), crop));
  const [height, width] = size;
  const narrow = new Float32Array(image.height * width * 3);
  for (let y = 0; y < image.height; y++) {
    columns.forEach(({first, weights}, u) => {
      for (let channel = 0; channel < 3; channel++) {
        let value = 0;
        weights.forEach((weight, index) => value += weight * image.data[(y * image.width + first + index) * 4 + channel]);
        narrow[(y * width + u) * 3 + channel] = value;
      }
    });
  }
  const crop = new Uint8Array(height * width * 3);
  rows.forEach(({first, weights}, v) => {
    for (let entry = 0; entry < width * 3; entry++) {
      let value = 0;
      weights.forEach((weight, index) => value += weight * narrow[(first + index) * width * 3 + entry]);
      crop[v * width * 3 + entry] = Math.min(Math.max(roundHalfEven(value), 0), 255);
    }
  });
  return crop;
}

/** Weights of source pixels for `count` pixels of a resized side from `start` on: triangles, as wide as two of the larger pixels. */
function triangleWeights(source, resized, start, count) {
  const step = source / resized, reach = Math.max(step, 1);
  return Array.from({length: count}, (_, index) => {
    const center = (start + index + 0.5) * step;
    const first = Math.max(Math.trunc(center - reach), 0), end = Math.min(Math.trunc(center + reach) + 1, source);
    const weights = Array.from({length: end - first}, (_, offset) =>
      Math.max(1 - Math.abs(first + offset + 0.5 - center) / reach, 0));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return {first, weights: weights.map((weight) => weight / sum)};
  });
}

const ARRAYS = {float32: Float32Array, uint8: Uint8Array, int8: Int8Array, int32: Int32Array};
const LIMITS = {uint8: [0, 255], int8: [-128, 127]};

/** From RGB bytes to the input tensor as it is stored: normalized and, where the type is an integer, quantized. */
export function toInput(crop, {mean, std, dtype, scale, zero_point: zeroPoint}) {
  const tables = mean.map((_, channel) => inputTable(mean[channel], std[channel], dtype, scale, zeroPoint));
  const stored = new ARRAYS[dtype](crop.length);
  for (let index = 0; index < crop.length; index++) stored[index] = tables[index % 3][crop[index]];
  return stored;
}

/** The stored value of each byte of a channel, in float32 like the evaluator's. */
function inputTable(mean, std, dtype, scale, zeroPoint) {
  const f = Math.fround;
  const slope = f(1 / f(255 * f(std))), offset = f(-f(mean) / f(std));
  return Array.from({length: 256}, (_, byte) => {
    const value = f(f(byte * slope) + offset);
    if (dtype === 'float32') return value;
    const stored = roundHalfEven(f(value / f(scale))) + zeroPoint;
    return Math.min(Math.max(stored, LIMITS[dtype][0]), LIMITS[dtype][1]);
  });
}

/** Real values of a tensor from its stored ones. */
export function dequantize(stored, {scale, zero_point: zeroPoint}) {
  if (!scale) return Float32Array.from(stored);
  return Float32Array.from(stored, (value) => (value - zeroPoint) * Math.fround(scale));
}
