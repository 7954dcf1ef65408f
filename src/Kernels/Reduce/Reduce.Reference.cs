namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void ReduceSum(in ReduceGeometry g, BufferView x, BufferView y, double scale, bool accumulate) => throw new NotSupportedException();

    public void ReduceBroadcast(in ReduceGeometry g, BufferView x, BufferView y, double scale, bool accumulate) => throw new NotSupportedException();
}
