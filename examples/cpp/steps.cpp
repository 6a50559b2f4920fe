// Runs every step of pose.hpp on the files of one case, so that they can be compared with those of `hrnet vectors`.
//
//   steps CONTRACT IMAGE HEIGHT WIDTH X Y BOX_WIDTH BOX_HEIGHT CROP HEATMAPS HEATMAP_HEIGHT HEATMAP_WIDTH JOINTS OUTPUT
//
// CONTRACT has the numbers of pose::Contract in their order, and the types of the input and of the heatmaps (float32, int8 or
// uint8). IMAGE and CROP are RGB bytes, HEATMAPS is the tensor as it is stored. Writes OUTPUT.crop and OUTPUT.input, and prints
// the matrix and the keypoints in heatmap and in image pixels.

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "pose.hpp"

namespace {

std::vector<char> bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "cannot read %s\n", path.c_str());
    std::exit(2);
  }
  return {std::istreambuf_iterator<char>(file), {}};
}

template <typename T>
void write(const std::string& path, const std::vector<T>& values) {
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

void print(const std::vector<pose::Keypoint>& keypoints) {
  for (const pose::Keypoint& point : keypoints) std::printf("%.17g %.17g %.17g\n", point.x, point.y, point.score);
}

}  // namespace

int main(int count, char** words) {
  if (count != 15) {
    std::fprintf(stderr, "expected 14 arguments, got %d\n", count - 1);
    return 2;
  }
  pose::Contract contract;
  std::string input_type, heatmap_type;
  std::ifstream numbers(words[1]);
  numbers >> contract.input.height >> contract.input.width >> contract.box_padding;
  for (float& value : contract.mean) numbers >> value;
  for (float& value : contract.std) numbers >> value;
  numbers >> contract.stored_input.scale >> contract.stored_input.zero_point;
  numbers >> contract.stored_heatmaps.scale >> contract.stored_heatmaps.zero_point;
  numbers >> contract.offset;
  for (double& value : contract.heatmap_pixel) numbers >> value;
  if (!(numbers >> input_type >> heatmap_type)) {
    std::fprintf(stderr, "cannot read the contract %s\n", words[1]);
    return 2;
  }
  const pose::Size image_size{std::atoi(words[3]), std::atoi(words[4])};
  const pose::Box box{std::atof(words[5]), std::atof(words[6]), std::atof(words[7]), std::atof(words[8])};
  const pose::Size size{std::atoi(words[11]), std::atoi(words[12])};
  const int joints = std::atoi(words[13]);
  const std::string output = words[14];

  const pose::Matrix matrix = pose::box_matrix(box, contract);
  std::printf("%.17g %.17g %.17g\n%.17g %.17g %.17g\n", matrix.xx, matrix.xy, matrix.x0, matrix.yx, matrix.yy, matrix.y0);
  const std::vector<char> image = bytes_of(words[2]);
  write(output + ".crop", pose::warp(reinterpret_cast<const std::uint8_t*>(image.data()), image_size, matrix, contract.input));

  const std::vector<char> crop_bytes = bytes_of(words[9]);
  const std::vector<std::uint8_t> crop(crop_bytes.begin(), crop_bytes.end());
  if (input_type == "float32") write(output + ".input", pose::to_input<float>(crop, contract));
  if (input_type == "int8") write(output + ".input", pose::to_input<std::int8_t>(crop, contract));
  if (input_type == "uint8") write(output + ".input", pose::to_input<std::uint8_t>(crop, contract));

  const std::vector<char> stored = bytes_of(words[10]);
  std::vector<pose::Keypoint> keypoints;
  if (heatmap_type == "float32") {
    keypoints = pose::decode(reinterpret_cast<const float*>(stored.data()), size, joints, contract);
  } else if (heatmap_type == "int8") {
    keypoints = pose::decode(reinterpret_cast<const std::int8_t*>(stored.data()), size, joints, contract);
  } else {
    keypoints = pose::decode(reinterpret_cast<const std::uint8_t*>(stored.data()), size, joints, contract);
  }
  print(keypoints);
  print(pose::to_image(keypoints, matrix, contract));
}
