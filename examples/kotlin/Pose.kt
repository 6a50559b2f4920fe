// Pose around any TFLite runtime in Kotlin, without Android classes: from a picture and a box to the input tensor, and from
// heatmaps to keypoints.
//
// `hrnet vectors` writes the numbers of a model's contract, and the files of every step that a port is checked with. This one is
// for models that were not trained with UDP, and whose heatmaps are decoded here.

package pose

import kotlin.math.floor
import kotlin.math.max
import kotlin.math.round
import kotlin.math.sign

data class Size(val height: Int, val width: Int)

data class Box(val x: Double, val y: Double, val width: Double, val height: Double)

data class Keypoint(val x: Double, val y: Double, val score: Double)

/** How a tensor stores real values: scale * (stored - zeroPoint); null for a float tensor. */
data class Quantization(val scale: Double, val zeroPoint: Int)

/** The numbers of vectors.json. */
class Contract(
    val input: Size, // input.size
    val boxPadding: Double, // input.box_padding
    val mean: FloatArray, // input.mean
    val std: FloatArray, // input.std
    val storedInput: Quantization?, // input.scale, input.zero_point
    val storedHeatmaps: Quantization?, // outputs[0].scale, outputs[0].zero_point
    val offset: Double, // decoding.offset
    val heatmapPixel: DoubleArray, // decoding.heatmap_pixel
)

/** From image to crop pixels: u = xx * x + xy * y + x0, v = yx * x + yy * y + y0. */
data class Matrix(val xx: Double, val xy: Double, val x0: Double, val yx: Double, val yy: Double, val y0: Double) {
    fun x(u: Double, v: Double) = xx * u + xy * v + x0

    fun y(u: Double, v: Double) = yx * u + yy * v + y0

    fun inverse(): Matrix {
        val determinant = xx * yy - xy * yx
        val a = yy / determinant
        val b = -xy / determinant
        val c = -yx / determinant
        val d = xx / determinant
        return Matrix(a, b, -(a * x0 + b * y0), c, d, -(c * x0 + d * y0))
    }
}

/** The matrix of a box. */
fun boxMatrix(box: Box, contract: Contract): Matrix {
    val width = contract.input.width.toDouble()
    val height = contract.input.height.toDouble()
    val extent = max(box.width, box.height * width / height) * contract.boxPadding
    val scale = width / extent
    val centerX = box.x + box.width / 2
    val centerY = box.y + box.height / 2
    return Matrix(scale, 0.0, width / 2 - scale * centerX, 0.0, scale, height / 2 - scale * centerY)
}

/** Cut the crop (height, width, 3) out of an image (size.height, size.width, 3), RGB bytes: bilinear, black outside. */
fun warp(image: ByteArray, size: Size, matrix: Matrix, cropSize: Size): ByteArray {
    val inverse = matrix.inverse()
    fun pixel(x: Int, y: Int, channel: Int): Double {
        val inside = x >= 0 && y >= 0 && x < size.width && y < size.height
        return if (inside) (image[(y * size.width + x) * 3 + channel].toInt() and 0xff).toDouble() else 0.0
    }
    val crop = ByteArray(cropSize.height * cropSize.width * 3)
    for (v in 0 until cropSize.height) {
        for (u in 0 until cropSize.width) {
            val x = inverse.x(u.toDouble(), v.toDouble())
            val y = inverse.y(u.toDouble(), v.toDouble())
            if (x < -1 || y < -1 || x > size.width || y > size.height) continue
            val left = floor(x).toInt()
            val top = floor(y).toInt()
            val fx = x - left
            val fy = y - top
            for (channel in 0 until 3) {
                val upper = pixel(left, top, channel) * (1 - fx) + pixel(left + 1, top, channel) * fx
                val lower = pixel(left, top + 1, channel) * (1 - fx) + pixel(left + 1, top + 1, channel) * fx
                crop[(v * cropSize.width + u) * 3 + channel] = round(upper * (1 - fy) + lower * fy).toInt().toByte()
            }
        }
    }
    return crop
}

/** From a crop (height, width, 3), RGB bytes, to the real values of the input tensor. */
fun normalized(crop: ByteArray, contract: Contract) = FloatArray(crop.size) {
    ((crop[it].toInt() and 0xff) / 255f - contract.mean[it % 3]) / contract.std[it % 3]
}

/** From real values to bytes as a quantized tensor stores them: int8, or uint8 if not `signed`. */
fun quantized(values: FloatArray, quantization: Quantization, signed: Boolean) = ByteArray(values.size) {
    val stored = round(values[it] / quantization.scale.toFloat()) + quantization.zeroPoint
    stored.toInt().coerceIn(if (signed) -128 else 0, if (signed) 127 else 255).toByte()
}

/** From the bytes of a quantized tensor to the integers that they store. */
fun integers(stored: ByteArray, signed: Boolean) = FloatArray(stored.size) {
    (if (signed) stored[it].toInt() else stored[it].toInt() and 0xff).toFloat()
}

/** From heatmaps (size.height, size.width, joints) as they are stored to keypoints in heatmap pixels. */
fun decode(heatmaps: FloatArray, size: Size, joints: Int, contract: Contract): List<Keypoint> {
    fun at(x: Int, y: Int, joint: Int) = heatmaps[(y * size.width + x) * joints + joint].toDouble()
    val scale = contract.storedHeatmaps?.scale ?: 1.0
    val zeroPoint = contract.storedHeatmaps?.zeroPoint ?: 0
    return List(joints) { joint ->
        var bestX = 0
        var bestY = 0
        for (y in 0 until size.height) {
            for (x in 0 until size.width) {
                if (at(x, y, joint) > at(bestX, bestY, joint)) {
                    bestX = x
                    bestY = y
                }
            }
        }
        val score = (at(bestX, bestY, joint) - zeroPoint) * scale
        val inside = bestX > 1 && bestX < size.width - 1 && bestY > 1 && bestY < size.height - 1
        val dx = if (inside) sign(at(bestX + 1, bestY, joint) - at(bestX - 1, bestY, joint)) / 4 else 0.0
        val dy = if (inside) sign(at(bestX, bestY + 1, joint) - at(bestX, bestY - 1, joint)) / 4 else 0.0
        if (score > 0) Keypoint(bestX + dx, bestY + dy, score) else Keypoint(0.0, 0.0, score)
    }
}

/** From heatmap to image pixels. */
fun toImage(keypoints: List<Keypoint>, matrix: Matrix, contract: Contract): List<Keypoint> {
    val inverse = matrix.inverse()
    return keypoints.map {
        val u = (it.x + contract.offset) * contract.heatmapPixel[0]
        val v = (it.y + contract.offset) * contract.heatmapPixel[1]
        Keypoint(inverse.x(u, v), inverse.y(u, v), it.score)
    }
}
