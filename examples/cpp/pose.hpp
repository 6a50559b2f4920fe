// Pose around any TFLite runtime in C++17: from a picture and a box to the input tensor, and from heatmaps to keypoints.
//
// `hrnet vectors` writes the numbers of a model's contract, and the files of every step that a port is checked with. This one is
// for models that were not trained with UDP, and whose heatmaps are decoded here.

#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

namespace pose {

struct Size {
  int height, width;
};

struct Box {
  double x, y, width, height;
};

struct Keypoint {
  double x, y, score;
};

// How a tensor stores real values: scale * (stored - zero_point). A float tensor has the scale 0.
struct Quantization {
  double scale;
  int zero_point;
};

// The numbers of vectors.json.
struct Contract {
  Size input;                                  // input.size
  double box_padding;                          // input.box_padding
  std::array<float, 3> mean, std;              // input.mean, input.std
  Quantization stored_input, stored_heatmaps;  // of input, and of outputs[0]
  double offset;                               // decoding.offset
  std::array<double, 2> heatmap_pixel;         // decoding.heatmap_pixel
};

// From image to crop pixels: u = xx * x + xy * y + x0, v = yx * x + yy * y + y0.
struct Matrix {
  double xx, xy, x0, yx, yy, y0;

  Matrix inverse() const {
    const double determinant = xx * yy - xy * yx;
    const double a = yy / determinant, b = -xy / determinant, c = -yx / determinant, d = xx / determinant;
    return {a, b, -(a * x0 + b * y0), c, d, -(c * x0 + d * y0)};
  }
};

// The matrix of a box.
inline Matrix box_matrix(const Box& box, const Contract& contract) {
  const double width = contract.input.width, height = contract.input.height;
  const double extent = std::max(box.width, box.height * width / height) * contract.box_padding;
  const double scale = width / extent;
  const double center_x = box.x + box.width / 2, center_y = box.y + box.height / 2;
  return {scale, 0, width / 2 - scale * center_x, 0, scale, height / 2 - scale * center_y};
}

// Cut the crop (height, width, 3) out of an image (size.height, size.width, 3), RGB: bilinear, black outside.
inline std::vector<std::uint8_t> warp(const std::uint8_t* image, Size size, const Matrix& matrix, Size crop_size) {
  const Matrix inverse = matrix.inverse();
  const auto pixel = [&](int x, int y, int channel) -> double {
    const bool inside = x >= 0 && y >= 0 && x < size.width && y < size.height;
    return inside ? image[(static_cast<std::size_t>(y) * size.width + x) * 3 + channel] : 0;
  };
  std::vector<std::uint8_t> crop;
  crop.reserve(static_cast<std::size_t>(crop_size.height) * crop_size.width * 3);
  for (int v = 0; v < crop_size.height; ++v) {
    for (int u = 0; u < crop_size.width; ++u) {
      const double x = inverse.xx * u + inverse.xy * v + inverse.x0, y = inverse.yx * u + inverse.yy * v + inverse.y0;
      const double left = std::floor(x), top = std::floor(y), fx = x - left, fy = y - top;
      const bool far = x < -1 || y < -1 || x > size.width || y > size.height;
      for (int channel = 0; channel < 3; ++channel) {
        double value = 0;
        if (!far) {
          const int l = static_cast<int>(left), t = static_cast<int>(top);
          const double upper = pixel(l, t, channel) * (1 - fx) + pixel(l + 1, t, channel) * fx;
          const double lower = pixel(l, t + 1, channel) * (1 - fx) + pixel(l + 1, t + 1, channel) * fx;
          value = upper * (1 - fy) + lower * fy;
        }
        crop.push_back(static_cast<std::uint8_t>(std::nearbyint(value)));
      }
    }
  }
  return crop;
}

// From a crop (height, width, 3) to the input tensor as it is stored; T is its type.
template <typename T>
std::vector<T> to_input(const std::vector<std::uint8_t>& crop, const Contract& contract) {
  std::vector<T> stored;
  stored.reserve(crop.size());
  for (std::size_t index = 0; index < crop.size(); ++index) {
    const int channel = index % 3;
    float value = (crop[index] / 255.0f - contract.mean[channel]) / contract.std[channel];
    if constexpr (std::is_integral_v<T>) {
      value = std::nearbyint(value / static_cast<float>(contract.stored_input.scale)) + contract.stored_input.zero_point;
      value = std::clamp<float>(value, std::numeric_limits<T>::min(), std::numeric_limits<T>::max());
    }
    stored.push_back(static_cast<T>(value));
  }
  return stored;
}

// From heatmaps (size.height, size.width, joints) as they are stored to keypoints in heatmap pixels.
template <typename T>
std::vector<Keypoint> decode(const T* heatmaps, Size size, int joints, const Contract& contract) {
  const auto at = [&](int x, int y, int joint) -> double {
    return heatmaps[(static_cast<std::size_t>(y) * size.width + x) * joints + joint];
  };
  const auto sign = [](double value) { return (value > 0) - (value < 0); };
  const double scale = contract.stored_heatmaps.scale > 0 ? contract.stored_heatmaps.scale : 1;
  const int zero_point = contract.stored_heatmaps.scale > 0 ? contract.stored_heatmaps.zero_point : 0;
  std::vector<Keypoint> keypoints;
  for (int joint = 0; joint < joints; ++joint) {
    int best_x = 0, best_y = 0;
    for (int y = 0; y < size.height; ++y) {
      for (int x = 0; x < size.width; ++x) {
        if (at(x, y, joint) > at(best_x, best_y, joint)) best_x = x, best_y = y;
      }
    }
    const double score = (at(best_x, best_y, joint) - zero_point) * scale;
    if (score <= 0) {
      keypoints.push_back({0, 0, score});
      continue;
    }
    double dx = 0, dy = 0;
    if (best_x > 1 && best_x < size.width - 1 && best_y > 1 && best_y < size.height - 1) {
      dx = sign(at(best_x + 1, best_y, joint) - at(best_x - 1, best_y, joint)) / 4.0;
      dy = sign(at(best_x, best_y + 1, joint) - at(best_x, best_y - 1, joint)) / 4.0;
    }
    keypoints.push_back({best_x + dx, best_y + dy, score});
  }
  return keypoints;
}

// From heatmap to image pixels.
inline std::vector<Keypoint> to_image(std::vector<Keypoint> keypoints, const Matrix& matrix, const Contract& contract) {
  const Matrix inverse = matrix.inverse();
  for (Keypoint& point : keypoints) {
    const double u = (point.x + contract.offset) * contract.heatmap_pixel[0];
    const double v = (point.y + contract.offset) * contract.heatmap_pixel[1];
    point.x = inverse.xx * u + inverse.xy * v + inverse.x0;
    point.y = inverse.yx * u + inverse.yy * v + inverse.y0;
  }
  return keypoints;
}

}  // namespace pose
