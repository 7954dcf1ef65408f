namespace RefConv.Kernels;

public partial interface IKernels
{
    /// <summary>
    /// How many rows have their largest score at their label; of equal scores the lower class counts first, and a row with a NaN is no hit. So accuracy
    /// can be followed without reading scores from the device.
    /// </summary>
    /// <param name="g">Shape; the smoothing is not used.</param>
    /// <param name="x">[N, Classes] scores</param>
    /// <param name="labels">[N] class numbers, stored as elements</param>
    /// <param name="hits">[1]</param>
    void CountHits(in SoftmaxCrossEntropyGeometry g, BufferView x, BufferView labels, BufferView hits);
}
