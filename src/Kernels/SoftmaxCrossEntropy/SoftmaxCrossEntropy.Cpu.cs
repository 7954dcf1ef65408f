namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void Softmax(in SoftmaxCrossEntropyGeometry g, BufferView x, BufferView y) => throw new NotSupportedException();

    public void SoftmaxCrossEntropyForward(in SoftmaxCrossEntropyGeometry g, BufferView x, BufferView labels, BufferView probabilities, BufferView loss) => throw new NotSupportedException();

    public void SoftmaxCrossEntropyBackward(in SoftmaxCrossEntropyGeometry g, BufferView probabilities, BufferView labels, BufferView dloss, BufferView dx, bool accumulate) => throw new NotSupportedException();
}
