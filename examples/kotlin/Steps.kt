// Runs every step of Pose.kt on the files of one case, so that they can be compared with those of `hrnet vectors`: the arguments,
// files and output are those of examples/cpp/steps.cpp.

package pose

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.system.exitProcess

fun main(words: Array<String>) {
    if (words.size != 14) {
        System.err.println("expected 14 arguments, got ${words.size}")
        exitProcess(2)
    }
    val numbers = File(words[0]).readText().split(Regex("\\s+")).filter { it.isNotEmpty() }
    val (inputType, heatmapType) = numbers.takeLast(2)
    val value = numbers.dropLast(2).map { it.toDouble() }
    fun floats(from: Int) = FloatArray(3) { value[from + it].toFloat() }
    fun quantization(at: Int) = if (value[at] > 0) Quantization(value[at], value[at + 1].toInt()) else null
    val size = Size(value[0].toInt(), value[1].toInt())
    val pixel = doubleArrayOf(value[14], value[15])
    val contract =
        Contract(size, value[2], floats(3), floats(6), quantization(9), quantization(11), value[13], pixel)
    val imageSize = Size(words[2].toInt(), words[3].toInt())
    val (x, y, width, height) = words.slice(4..7).map { it.toDouble() }
    val heatmapSize = Size(words[10].toInt(), words[11].toInt())

    val matrix = boxMatrix(Box(x, y, width, height), contract)
    println("${matrix.xx} ${matrix.xy} ${matrix.x0}\n${matrix.yx} ${matrix.yy} ${matrix.y0}")
    File(words[13] + ".crop").writeBytes(warp(File(words[1]).readBytes(), imageSize, matrix, size))

    val values = normalized(File(words[8]).readBytes(), contract)
    val stored = contract.storedInput?.let { quantized(values, it, inputType == "int8") } ?: bytesOf(values)
    File(words[13] + ".input").writeBytes(stored)

    val bytes = File(words[9]).readBytes()
    val heatmaps = if (heatmapType == "float32") floatsOf(bytes) else integers(bytes, heatmapType == "int8")
    val keypoints = decode(heatmaps, heatmapSize, words[12].toInt(), contract)
    for (point in keypoints + toImage(keypoints, matrix, contract)) println("${point.x} ${point.y} ${point.score}")
}

private fun bytesOf(values: FloatArray): ByteArray {
    val buffer = ByteBuffer.allocate(4 * values.size).order(ByteOrder.LITTLE_ENDIAN)
    buffer.asFloatBuffer().put(values)
    return buffer.array()
}

private fun floatsOf(bytes: ByteArray): FloatArray {
    val values = FloatArray(bytes.size / 4)
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(values)
    return values
}
