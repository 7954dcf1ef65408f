namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void ReduceSum(in ReduceGeometry g, BufferView x, BufferView y, double scale, bool accumulate) => throw new NotSupportedException();

    public void ReduceBroadcast(in ReduceGeometry g, BufferView x, BufferView y, double scale, bool accumulate) => throw new NotSupportedException();
}
